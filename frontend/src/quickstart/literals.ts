/** A JavaScript string literal; an apostrophe is a legal character of URIs and scopes. */
export const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** One argument of a POSIX shell, whatever is in it. */
export const shellQuoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

/** The fields of a Go struct literal, aligned as gofmt does. */
export function goFields(indent: string, fields: Record<string, string | false>): string {
  const present = Object.entries(fields).filter(([, value]) => value !== false)
  const width = Math.max(...present.map(([name]) => name.length)) + 2
  return present.map(([name, value]) => `${indent}${`${name}:`.padEnd(width)}${value},`).join('\n')
}
