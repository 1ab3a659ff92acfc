import { createI18n } from 'vue-i18n'

export const locales = ['en', 'fr'] as const
export type Locale = (typeof locales)[number]

/** Messages come in parts, so that the sign-in page does not download the console's words. */
export type Area = 'auth' | 'account' | 'admin'

const parts = import.meta.glob<{ default: Record<string, string> }>('./locales/*/*.json')
const wanted = new Set<string>(['common'])
const loaded = new Set<string>()
let picked = false

export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: false, messages: {} })

export const currentLocale = () => i18n.global.locale.value as Locale

/** Makes sure that the words of a part of the app are there in the current language. */
export async function loadArea(area: Area) {
  wanted.add(area)
  await loadParts(currentLocale())
}

/** Switches the language of the page, its title and its forms. */
export async function setLocale(locale: Locale) {
  await loadParts(locale)
  i18n.global.locale.value = locale
  document.documentElement.lang = locale
}

/** The person chose: remembered on this device, and from now on stronger than what an application asks for. */
export async function pickLocale(locale: Locale) {
  picked = true
  save(locale)
  await setLocale(locale)
}

/** Obeys an application's ui_locales (OpenID Connect Core §3.1.2.1) as long as the person has not chosen on this page. */
export async function suggestLocales(tags: readonly string[]) {
  const locale = picked ? undefined : firstSupported(tags)
  if (locale && locale !== currentLocale()) await setLocale(locale)
}

/** The language of the first page: asked for in the address, chosen before, or the browser's. */
export async function initLocale() {
  const asked = new URLSearchParams(location.search).get('ui_locales')?.split(' ') ?? []
  await setLocale(firstSupported([...asked, saved(), ...navigator.languages]) ?? 'en')
}

function firstSupported(tags: readonly string[]): Locale | undefined {
  return tags.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag): tag is Locale => locales.includes(tag as Locale))
}

async function loadParts(locale: Locale) {
  await Promise.all([...wanted].map((part) => loadPart(locale, part)))
}

async function loadPart(locale: Locale, part: string) {
  const path = `./locales/${locale}/${part}.json`
  if (loaded.has(path)) return
  const messages = await parts[path]?.()
  i18n.global.mergeLocaleMessage(locale, messages?.default ?? {})
  loaded.add(path)
}

function saved(): string {
  try {
    return localStorage.getItem('locale') ?? ''
  } catch {
    return '' // storage is blocked: the browser's language decides
  }
}

function save(locale: Locale) {
  try {
    localStorage.setItem('locale', locale)
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
}
