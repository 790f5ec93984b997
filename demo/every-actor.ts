/** Every actor in actors/, with the simulated dependencies that their constructors default to. */
import { AnalyzeDataset } from "../actors/analyze-dataset.ts";
import { BuildReport } from "../actors/build-report.ts";
import { CallPartner } from "../actors/call-partner.ts";
import { ChargePayment } from "../actors/charge-payment.ts";
import { CountLogLines } from "../actors/count-log-lines.ts";
import { SendNotification } from "../actors/send-notification.ts";

export const everyActor = [
  AnalyzeDataset,
  BuildReport,
  CallPartner,
  ChargePayment,
  CountLogLines,
  SendNotification,
] as const;
