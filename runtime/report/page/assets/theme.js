// Light or dark: as the system says, until the reader chooses.

(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  let chosen = remembered();

  function remembered() {
    try {
      return localStorage.getItem("transfer-prompting-theme");
    } catch {
      return null;
    }
  }

  const current = () => chosen || (system.matches ? "dark" : "light");

  function apply() {
    document.documentElement.dataset.theme = current();
    button.textContent = current() === "dark" ? "Light theme" : "Dark theme";
  }

  button.addEventListener("click", () => {
    chosen = current() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("transfer-prompting-theme", chosen);
    } catch {
      // A page that may not remember still changes.
    }
    apply();
  });
  system.addEventListener("change", apply);
  // Paper is white, and nobody can open anything on it.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light";
    opened = [...document.querySelectorAll("details[data-printed]:not([open])")];
    for (const one of opened) {
      one.open = true;
      one.dispatchEvent(new Event("toggle")); // the browser's own comes too late
    }
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((one) => (one.open = false));
    apply();
  });
  apply();
})();
