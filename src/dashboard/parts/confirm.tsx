/** Confirm: asks before something that cannot be undone, and says what and how many. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Dialog } from "./dialog.tsx";

export interface Question {
  title: string;
  text: string;
  /** On the button that goes ahead: a verb and what it is about. */
  action: string;
  /** What is lost is lost for good. */
  final?: boolean;
}

export type Ask = (question: Question) => Promise<boolean>;

export const AskContext = createContext<Ask>(() => Promise.resolve(false));

export function useAsk(): Ask {
  return useContext(AskContext);
}

export interface ConfirmProps {
  question: Question;
  onAnswer: (yes: boolean) => void;
}

export function Confirm({ question, onAnswer }: ConfirmProps) {
  const { title, text, action, final = false } = question;
  return (
    <Dialog title={title} onClose={() => onAnswer(false)}>
      <p>{text}</p>
      <div class="buttons">
        <button type="button" onClick={() => onAnswer(false)}>
          Cancel
        </button>
        <button type="button" class={final ? "danger" : "primary"} onClick={() => onAnswer(true)}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}
