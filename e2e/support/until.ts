import { setTimeout as pause } from 'node:timers/promises'

/** Waits until the condition holds, for so long at most. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
): Promise<void> {
  for (const end = Date.now() + milliseconds; !(await holds()); await pause(20)) {
    if (Date.now() > end) throw new Error(`Not within ${milliseconds} ms: ${what}`)
  }
}
