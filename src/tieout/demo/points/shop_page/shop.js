/* The shop's page: the form is an intent, and what becomes of it is told in words. */
import { Intent } from "./tieout.js";

const USER = "visitor";
const form = document.querySelector("#redeem");
const told = document.querySelector("#told");
const another = form.querySelector("button[type=reset]");
const abandon = document.querySelector("#abandon");

const redeem = new Intent(`redeem/${USER}`, { url: "redeem" });

/** What is sent: the fields of the form, the number as a number. */
function order() {
  const { sku, quantity } = Object.fromEntries(new FormData(form));
  return { user: USER, sku, quantity: Number(quantity) };
}

const REFUSALS = {
  refused: (problem) => `Not done: ${problem.detail}. No points were taken.`,
  "params-changed": () => "Another request of yours is still open: wait until it is done. Nothing else was sent.",
  "key-retired": () => "This request is so old that nobody knows its answer any more. Nothing was sent.",
};

const REASONS = {
  offline: "You are offline. Your request is kept, and goes on by itself when you are back.",
  network: "No answer has come. The same request is sent again; nothing is taken twice.",
  busy: "The shop is busy. The same request is sent again; nothing is taken twice.",
  unclear: "The answer made no sense. The same request is sent again; nothing is taken twice.",
  lost: "The shop has lost sight of your request. It is sent again; nothing is taken twice.",
};

function ended({ answer, params }) {
  if (answer.state === "completed") return `Done: ${params.quantity} x ${params.sku}, code ${answer.result.code}.`;
  return "The prize could not be issued. Your points are back.";
}

function words(view) {
  const { state, problem } = view;
  if (state === "done") return ended(view);
  if (state === "refused") return (REFUSALS[problem.code] ?? (() => `Not done: ${problem.detail || problem.code}.`))(problem);
  const texts = {
    idle: "",
    sending: "Your request is being sent …",
    waiting: "Accepted. Your prize is being issued …",
    retrying: REASONS[view.reason],
    held: "Accepted. The two sides contradict each other: a person looks at it, and your points are safe.",
    stopped: `What became of your request is not known: ${problem?.detail}. Click again to go on with it.`,
  };
  return problem?.code === "params-changed" ? `${texts[state]} ${REFUSALS["params-changed"]()}` : texts[state];
}

function show() {
  const { view } = redeem;
  told.textContent = words(view);
  told.dataset.state = view.state;
  told.dataset.id = view.id ?? "";
  another.hidden = view.state !== "done";
  abandon.hidden = view.state !== "stopped";
  if (view.state === "done" || view.state === "waiting") showPoints();
}

/** What is open or was done is what the form shows, also after a reload. */
function restore() {
  const { params } = redeem.view;
  if (params === null) return;
  for (const [name, value] of Object.entries(params)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
}

async function account() {
  try {
    const response = await fetch(`account?user=${USER}`, { cache: "no-store" });
    return response.ok ? await response.json() : null;
  } catch {
    return null; // offline: what stands there was right when it was read
  }
}

async function showPoints() {
  const known = await account();
  if (known) document.querySelector("#points").textContent = known.points.toLocaleString("en");
  return known;
}

function offer({ prizes, api }) {
  for (const { sku, price } of prizes) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "sku", value: sku, required: true });
    input.defaultChecked = sku === prizes[0].sku;
    const cost = Object.assign(document.createElement("span"), { textContent: `${price.toLocaleString("en")} points` });
    const label = document.createElement("label");
    label.append(input, ` ${sku}`, cost);
    document.querySelector("#prizes").append(label);
  }
  if (!api) return;
  const place = document.querySelector("#api");
  place.hidden = false;
  Object.assign(place.querySelector("a"), { href: `${api}/v1/docs`, textContent: `${api}/v1/docs` });
}

let known = await showPoints();
while (known === null) {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  known = await showPoints();
}
offer(known);
redeem.attach(form, order);
redeem.addEventListener("change", show);
abandon.addEventListener("click", () => redeem.abandon());
restore();
show();
