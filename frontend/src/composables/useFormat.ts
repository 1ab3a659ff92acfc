import { useI18n } from 'vue-i18n'

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86400],
  ['month', 30 * 86400],
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60],
]

/** Times and numbers as people of the chosen language write them, in the time zone of the browser. */
export function useFormat() {
  const { locale } = useI18n()

  const date = (iso: string) => new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium' }).format(new Date(iso))
  const dateTime = (iso: string) =>
    new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso))
  const number = (value: number) => new Intl.NumberFormat(locale.value).format(value)

  /** "5 hours ago"; what is less than a minute away is now. */
  function relative(iso: string): string {
    const seconds = (new Date(iso).getTime() - Date.now()) / 1000
    const format = new Intl.RelativeTimeFormat(locale.value, { numeric: 'auto' })
    const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1]
    return unit === 'second' ? format.format(0, 'second') : format.format(Math.round(seconds / size), unit)
  }

  return { date, dateTime, number, relative }
}
