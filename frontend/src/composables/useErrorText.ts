import { useI18n } from 'vue-i18n'
import type { ApiError } from '@/api/http'

/** Turns a failure into a sentence in the person's language; for a code that we have no words for, the server's own. */
export function useErrorText() {
  const { t, te } = useI18n()

  function errorText(error: ApiError): string {
    const { code, status, detail, errors } = error.problem
    if (status === 429 && error.retryAfter) return t('errors.tooManyAttemptsWait', { wait: waitText(error.retryAfter) })
    // Not every form shows each of its fields' faults beside the field, so the sentences are here too.
    if (errors) return [t('errors.VALIDATION_ERROR'), ...Object.values(errors)].join(' ')
    if (te(`errors.${code}`)) return t(`errors.${code}`)
    return detail || t('errors.unknown')
  }

  const waitText = (seconds: number) =>
    seconds < 90
      ? t('common.seconds', { n: seconds }, seconds)
      : t('common.minutes', { n: Math.ceil(seconds / 60) }, Math.ceil(seconds / 60))

  return { errorText }
}
