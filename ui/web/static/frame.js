// The menu on narrow screens, and dark or light: as the system has it until a person chooses otherwise.

const KEY = "tunebus-theme";

function apply() {
  const chosen = localStorage.getItem(KEY);
  if (chosen && document.body) document.body.classList.toggle("dark", chosen === "dark");
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-switch]")) {
    localStorage.setItem(KEY, document.body.classList.contains("dark") ? "light" : "dark");
    apply();
    document.dispatchEvent(new CustomEvent("tunebus:theme"));
  }
  const opener = event.target.closest(".tb-menu-opener");
  const header = document.querySelector(".tb-header");
  if (opener) header.toggleAttribute("data-own-open");
  else if (!event.target.closest("#tb-menu")) header?.removeAttribute("data-own-open");
  opener?.setAttribute("aria-expanded", String(header.hasAttribute("data-own-open")));
});

// Gradio sets the class when it starts; what a person chose comes after.
new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ["class"] });
apply();
