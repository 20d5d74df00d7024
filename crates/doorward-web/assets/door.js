// Conveniences. Every page does its work without this file.

const all = (selector, use) => document.querySelectorAll(selector).forEach(use);

// An answer that travels by form goes on by itself.
all("form[data-submit]", (form) => form.submit());

// "Copy": copies the text of the element named by data-copy, or selects it where the clipboard is closed to us.
all("[data-copy]", (button) => {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("span");
  const idle = label.textContent;
  button.hidden = false;
  label.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = button.dataset.done;
      setTimeout(() => (label.textContent = idle), 2000);
    } catch {
      getSelection().selectAllChildren(source);
    }
  });
});

// "Show password".
all("[data-reveal]", (button) => {
  const input = document.getElementById(button.dataset.reveal);
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", shown);
  };
  button.hidden = false;
  button.addEventListener("click", () => show(input.type === "password"));
  input.form.addEventListener("submit", () => show(false));
});

// Waiting shows in the button, and a second click does not send the form again.
addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  all("form[data-sent]", (form) => delete form.dataset.sent);
  all("[aria-busy]", (button) => button.removeAttribute("aria-busy"));
});

// Exact times in the reader's own zone; a line breaks between day and time only.
const zoned = (style) => {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, style);
  return (at) => format.format(at).replaceAll(" ", "\u00a0");
};
const day = zoned({ dateStyle: "medium" });
const clock = zoned({ timeStyle: "short" });
all("time[data-local]", (time) => {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.valueOf())) return;
  time.title = time.textContent;
  time.textContent = `${day(at)}, ${clock(at)}`;
});

// Going on once the other applications know about the sign-out (the page is loaded when its frames are), or after four seconds.
all("a[data-after-frames]", (link) => {
  const go = () => location.replace(link.href);
  if (document.readyState === "complete") go();
  else addEventListener("load", go);
  setTimeout(go, 4000);
});

// A page that is older than the server says so when somebody comes back to it.
const build = document.querySelector("meta[name=doorward-build]");
let asked = 0;
const compare = async () => {
  if (!build || document.visibilityState !== "visible" || Date.now() - asked < 30000) return;
  asked = Date.now();
  const answer = await fetch("/version", { method: "HEAD", cache: "no-store" }).catch(() => undefined);
  const now = answer?.headers.get("x-doorward-version");
  if (!now || now === build.content || document.getElementById("newer-build")) return;
  const banner = document.createElement("div");
  banner.id = "newer-build";
  banner.className = "banner notice";
  banner.setAttribute("role", "status");
  const text = document.createElement("p");
  text.textContent = `${build.dataset.text} `;
  const again = document.createElement("a");
  again.href = location.href;
  again.textContent = build.dataset.reload;
  again.addEventListener("click", (event) => {
    event.preventDefault();
    location.reload();
  });
  text.append(again);
  banner.append(text);
  document.querySelector("main").prepend(banner);
};
document.addEventListener("visibilitychange", compare);
addEventListener("pageshow", (event) => event.persisted && compare());
