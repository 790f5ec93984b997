/** Theme: the system's, or the one that was chosen here, which the browser remembers. */
import { useEffect, useState } from "preact/hooks";

export type Theme = "light" | "dark";

const place = "godwit-theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

/** @returns the theme in force, and what turns it to the other. */
export function useTheme(): [theme: Theme, toggle: () => void] {
  const [chosen, setChosen] = useState<Theme | undefined>(remembered);
  const [system, setSystem] = useState<Theme>(prefersDark.matches ? "dark" : "light");
  useEffect(() => {
    const read = (): void => setSystem(prefersDark.matches ? "dark" : "light");
    prefersDark.addEventListener("change", read);
    return () => prefersDark.removeEventListener("change", read);
  }, []);
  const theme = chosen ?? system;
  if (chosen === undefined) delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
  const toggle = (): void => {
    const next = theme === "dark" ? "light" : "dark";
    // Back to the system's own choice is nothing to remember.
    if (next === system) localStorage.removeItem(place);
    else localStorage.setItem(place, next);
    setChosen(next === system ? undefined : next);
  };
  return [theme, toggle];
}

function remembered(): Theme | undefined {
  const theme = localStorage.getItem(place);
  return theme === "light" || theme === "dark" ? theme : undefined;
}
