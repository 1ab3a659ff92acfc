import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

type Messages = { [key: string]: string | Messages }

const parts = ['common', 'auth', 'account', 'admin']
const read = (path: string) => readFileSync(join('src', path), 'utf8')
const keysOf = (messages: Messages, prefix = ''): string[] =>
  Object.entries(messages).flatMap(([key, value]) =>
    typeof value === 'string' ? [prefix + key] : keysOf(value, `${prefix}${key}.`),
  )
const load = (locale: string, part: string) => JSON.parse(read(`locales/${locale}/${part}.json`)) as Messages
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(vue|ts)$/.test(file) && !/\.spec\.ts$|^testing/.test(file))
  .map(read)
  .join('\n')

test.each(parts)('%s has the same keys in every language', (part) => {
  expect(keysOf(load('fr', part)).sort()).toEqual(keysOf(load('en', part)).sort())
})

test.each(parts)('%s fills the same places in every language', (part) => {
  const places = (locale: string) => {
    const flat = (messages: Messages): string[] =>
      Object.values(messages).flatMap((value) =>
        typeof value === 'string' ? [[...new Set(value.match(/\{\w+\}/g))].sort().join()] : flat(value),
      )
    return flat(load(locale, part))
  }
  expect(places('fr')).toEqual(places('en'))
})

/** A key is used when the code names it, or names the beginning of it before a value: t(`errors.${code}`). */
test.each(parts)('every key of %s is used', (part) => {
  const patterns = [...sources.matchAll(/`((?:\w+\.)+\w*)\$\{[^}]+\}([.\w]*)`/g)].map(([, start, end]) => ({
    start,
    end,
  }))
  const used = (key: string) =>
    sources.includes(`'${key}'`) ||
    patterns.some(({ start, end }) => key.startsWith(start ?? '') && key.endsWith(end ?? ''))
  expect(keysOf(load('en', part)).filter((key) => !used(key))).toEqual([])
})
