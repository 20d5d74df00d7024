// Sign-up, sign-in and sessions with the better-auth client, and notes from the service behind the guard.
import { createAuthClient } from "better-auth/client";
import { DOORWARD, NOTES, OPENID_PROVIDER } from "./config.js";

const auth = createAuthClient({ baseURL: DOORWARD });

const at = (id) => document.getElementById(id);
const here = location.origin + location.pathname;

function say(text, isProblem = false) {
  at("message").textContent = text;
  at("message").classList.toggle("problem", isProblem);
}

// The client answers { data, error } and throws only when there was no answer at all.
const ask = (call) => call.catch(() => ({ data: null, error: { status: 0 } }));

function problem(error) {
  if (!error.status) return `Doorward at ${DOORWARD} does not answer, or does not trust this page (${location.origin}).`;
  return error.message ? `${error.message} (${error.code ?? error.status})` : `Doorward answered ${error.status}.`;
}

/** Runs what a form or button does, with the button out of reach meanwhile. */
function on(id, event, action) {
  at(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const form = happened.target;
    const buttons = form.querySelectorAll?.("button") ?? [];
    for (const button of buttons) button.disabled = true;
    try {
      await action(form instanceof HTMLFormElement ? Object.fromEntries(new FormData(form)) : {}, form);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}

async function after({ data, error }) {
  if (error) return say(problem(error), true);
  if (data?.twoFactorRedirect) return say("This account wants a second factor, which this example does not ask for.", true);
  await show();
}

on("sign-in", "submit", async ({ email, password }) => after(await ask(auth.signIn.email({ email, password }))));
on("sign-up", "submit", async ({ name, email, password }) =>
  after(await ask(auth.signUp.email({ name, email, password }))),
);
on("sign-out", "click", async () => after(await ask(auth.signOut())));
on("openid", "click", async () => {
  // On success the client follows the answer to the sign-in page, which leads back here.
  const { error } = await ask(
    auth.signIn.social({ provider: OPENID_PROVIDER, callbackURL: here, errorCallbackURL: here }),
  );
  if (error) say(problem(error), true);
});
on("write", "submit", async ({ body }, form) => {
  if (await notes("POST", { body })) {
    form.reset();
    await list();
  }
});

/** Asks the notes service as whoever is signed in: the browser sends the session cookie along. */
async function notes(method, content) {
  try {
    const answer = await fetch(`${NOTES}/notes`, {
      method,
      credentials: "include",
      headers: content ? { "content-type": "application/json" } : {},
      body: content ? JSON.stringify(content) : undefined,
    });
    if (answer.ok) return await answer.json();
    const { error_description: description, error_id: id } = await answer.json().catch(() => ({}));
    say(`Notes: ${description ?? answer.status}${id ? ` (error id ${id})` : ""}`, true);
  } catch {
    say(`The notes service at ${NOTES} does not answer, or does not trust this page (${location.origin}).`, true);
  }
  return undefined;
}

async function list() {
  const all = await notes("GET");
  if (!all) return;
  // As text, never as HTML: a note is whatever somebody typed.
  at("notes").replaceChildren(...all.map(({ body }) => Object.assign(document.createElement("li"), { textContent: body })));
  at("no-notes").hidden = all.length > 0;
}

async function show() {
  const { data, error } = await ask(auth.getSession());
  if (error) return say(problem(error), true);
  at("nobody").hidden = Boolean(data);
  at("somebody").hidden = !data;
  if (!data) {
    at("notes").replaceChildren();
    return say("Nobody is signed in.");
  }
  say(`Hello ${data.user.name}.`);
  at("name").textContent = data.user.name;
  at("email").textContent = `${data.user.email}${data.user.emailVerified ? "" : " (not proved yet)"}`;
  at("until").textContent = new Date(data.session.expiresAt).toLocaleString();
  await list();
}

await show();
// The way back from "Sign in with Doorward" carries the reason when it failed.
const refused = new URLSearchParams(location.search).get("error");
if (refused) {
  say(`Signing in did not work: ${refused}`, true);
  history.replaceState(null, "", location.pathname);
}
