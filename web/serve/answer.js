// ---- one question and its answer in the conversation

function questionView(question, documents) {
  const list = documents.length ? el("ul.documents", {}, documents.map(document => documentItem(document))) : null;
  return el("article.card", { "aria-label": "Question" }, list, el("div.text", {}, question));
}

/// The view of an answer, which grows while it streams. Text goes into text nodes, so none of it is read as HTML.
function answerView() {
  const text = document.createTextNode(""), thought = document.createTextNode("");
  const waiting = el("p.soft.waiting", {}, "Reading …");
  const thinking = el("details.thought", { hidden: true }, el("summary", {}, "Thinking"), el("div.text", {}, thought));
  const element = el("article.answer", { "aria-label": "Answer" }, waiting, thinking, el("div.text", {}, text));
  return {
    element,
    get text() { return text.data; },
    add({ content, reasoning_content: reasoning }) {
      if (content || reasoning) waiting.remove();
      if (reasoning) {
        thinking.hidden = false;
        thought.appendData(reasoning);
      }
      if (content) text.appendData(content);
    },
    end(...children) {
      waiting.remove();
      element.append(...children.flat().filter(Boolean));
    },
  };
}
