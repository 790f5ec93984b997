/** Whether an element is on screen or near it, so that what nobody sees is not drawn. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

const watched = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | undefined;

export function useVisible(ref: RefObject<Element | null>): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return undefined;
    observer ??= new IntersectionObserver(
      (entries) => entries.forEach(({ target, isIntersecting }) => watched.get(target)?.(isIntersecting)),
      { rootMargin: "200px 0px" },
    );
    watched.set(element, setVisible);
    observer.observe(element);
    return () => observer?.unobserve(element);
  }, []);
  return visible;
}
