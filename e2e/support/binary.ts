import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repository = resolve(fileURLToPath(import.meta.url), '../../..')

/** Not built from: results, dependencies, and what only tests use. */
const skipped = new Set([
  '.git',
  'node_modules',
  'bin',
  'dist',
  'data',
  'e2e',
  'bench',
  'deploy',
  'testdata',
  'screenshots',
])
const source = /(?<!_test)\.go$|^go\.(mod|sum)$|^frontend\//

/** Returns the server's path. AUTH_SERVICE_BINARY names another than bin/auth-service, which is built when it is out of date. */
export function ensureBinary(): string {
  const given = process.env.AUTH_SERVICE_BINARY
  if (given) return resolve(given)
  const binary = join(repository, 'bin/auth-service')
  if (!existsSync(binary) || newest(repository) > statSync(binary).mtimeMs) {
    execFileSync('make', ['-C', repository, 'build'], { stdio: 'inherit' })
  }
  return binary
}

function newest(folder: string): number {
  let time = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !skipped.has(entry.name)) time = Math.max(time, newest(path))
    else if (entry.isFile() && source.test(relative(repository, path))) time = Math.max(time, statSync(path).mtimeMs)
  }
  return time
}
