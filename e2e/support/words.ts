import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './binary'

export type Words = (key: string, values?: Record<string, string>) => string

/** Returns what the pages say in a language, by the keys of their own message files. */
export function words(locale: 'en' | 'fr'): Words {
  const files = ['common', 'auth', 'account', 'admin'].map(
    (part) =>
      JSON.parse(readFileSync(join(repository, `frontend/src/locales/${locale}/${part}.json`), 'utf8')) as object,
  )
  const messages = Object.assign({}, ...files) as Record<string, unknown>
  return (key, values = {}) => {
    const found = key
      .split('.')
      .reduce<unknown>((node, part) => (node as Record<string, unknown> | undefined)?.[part], messages)
    if (typeof found !== 'string') throw new Error(`no words for ${key} in ${locale}`)
    return found.replace(/\{'(.)'\}/g, '$1').replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? `{${name}}`)
  }
}
