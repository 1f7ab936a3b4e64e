// ---- documents, which become the first part of the next message

const LARGEST_FILE = 16 * 2 ** 20;
let documents = [];  // {name, text}

const documentItem = ({ name, text }, ...more) => el("li", {}, `${name}, ${whole(text.length)} characters`, ...more);

function setDocuments(list) {
  documents = list;
  const remove = document => el("button", { type: "button", "aria-label": `Remove ${document.name}`, onclick: () => {
    setDocuments(documents.filter(other => other !== document));
    input.focus();
  } }, "Remove");
  byId("documents").replaceChildren(...documents.map(document => documentItem(document, remove(document))));
  input.placeholder = documents.length ? "Ask about the document" : "Message";
}

async function textOf(file) {
  if (file.size > LARGEST_FILE) throw new Error(`${file.name} is larger than 16 MiB`);
  let content;
  try {
    content = await file.arrayBuffer();
  } catch {
    throw new Error(`${file.name} cannot be read`);  // a folder, or gone
  }
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch { /* the next line says so */ }
  if (text === undefined || text.includes("\0")) throw new Error(`${file.name} is not a text file (UTF-8)`);
  if (!text.trim()) throw new Error(`${file.name} is empty`);
  return text;
}

async function addFiles(files) {
  const problems = [];
  for (const file of files) {
    try {
      const text = await textOf(file);
      setDocuments([...documents, { name: file.name, text }]);
    } catch (error) {
      problems.push(`${error.message}; it was not added.`);
    }
  }
  notice(problems.join("\n"));
  input.focus();
}

byId("add").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", async () => {
  await addFiles([...byId("file").files]);
  byId("file").value = "";  // so that the same file can be chosen again
});

const holdsFiles = event => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", event => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", event => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", event => {
  document.body.classList.remove("dropping");
  if (!holdsFiles(event)) return;
  event.preventDefault();
  addFiles([...event.dataTransfer.files]);
});
