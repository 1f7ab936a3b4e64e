// ---- the start

async function start() {
  try {
    const props = await (await request("props")).json();
    const context = props.n_ctx ? `context of ${whole(props.n_ctx)} tokens` : "";
    byId("model").textContent = [props.model_alias, context].filter(Boolean).join(", ");
    document.title = props.model_alias ? `${props.model_alias}, chunkkv` : "chunkkv";
    fillSettings(props.chunkkv ?? {});
    notice("");
  } catch (error) {
    notice(error.message);
    if (error.status === 503) setTimeout(start, 2000);  // it still loads the model
  }
}

input.focus();
start();
