import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Jar } from './jar'
import { until } from './until'

export interface Person {
  id: string
  name: string
  email: string
  password: string
}

export interface Application {
  id: string
  slug: string
  name: string
  clientId: string
  clientSecret: string | null
}

export interface Organization {
  id: string
  name: string
  slug: string
}

interface LogLine {
  level: string
  message: string
  address?: string
  status?: number
}

const admin = {
  email: 'admin@example.com',
  password: 'correct horse battery staple',
}

let last = 0
/** A name that no other test uses. */
export const unique = (prefix: string) => `${prefix}-${process.pid}-${++last}`

/** The built program, with a folder of its own and, unless a database is given, SQLite in it. */
export class AuthServer {
  readonly admin = admin
  private readonly folder = mkdtempSync(join(tmpdir(), 'e2e-auth-'))
  private process?: ChildProcess
  private log: LogLine[] = []
  private output: string[] = []
  private port = 0
  private operator?: Jar

  private constructor(private readonly settings: Record<string, string>) {}

  static async start(settings: Record<string, string> = {}): Promise<AuthServer> {
    const server = new AuthServer(settings)
    await server.launch()
    return server
  }

  get origin() {
    return `http://localhost:${this.port}`
  }

  get issuer() {
    return `${this.origin}/api/auth`
  }

  /** Starts the program, the second time on the port of the first. */
  async launch() {
    this.log = []
    const child = spawn(process.env.E2E_BINARY ?? '', ['serve'], {
      cwd: this.folder,
      env: this.environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process = child
    process.once('exit', this.die)
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', (line) => this.read(line))
    await until(
      'the server listens',
      () => {
        if (child.exitCode !== null)
          throw new Error(`The server ended with ${child.exitCode}:\n${this.output.join('\n')}`)
        return this.log.some((line) => line.message === 'listening')
      },
      20_000,
    )
    this.port = Number(
      this.log
        .find((line) => line.message === 'listening')
        ?.address?.split(':')
        .pop(),
    )
  }

  private environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      AUTH_LISTEN_PORT: String(this.port),
      AUTH_DATA_DIR: this.folder,
      AUTH_ADMIN_EMAIL: admin.email,
      AUTH_ADMIN_PASSWORD: admin.password,
      AUTH_LOG_FORMAT: 'json',
      // All tests come from one address; and they are about what is asked of people, not about how strong a hash is.
      AUTH_THROTTLE_PER_ADDRESS_RATE: '10000',
      AUTH_THROTTLE_PER_ADDRESS_BURST: '10000',
      AUTH_THROTTLE_BASE_DELAY: '30s', // so that the message is still there when the test looks
      AUTH_PASSWORD_ARGON2_MEMORY_KIB: '7168',
      AUTH_PASSWORD_ARGON2_ITERATIONS: '5',
      ...this.settings,
    }
  }

  private read(line: string) {
    this.output.push(line)
    if (line.startsWith('{')) this.log.push(JSON.parse(line) as LogLine)
  }

  /** What the log says of failures that are the server's own. */
  faults(): string[] {
    return this.output.filter((line) => /"level":"(error|fatal|panic)"|"status":5\d\d|^panic:|DATA RACE/.test(line))
  }

  /** What is left to do when a test has failed and nobody called stop. */
  private readonly die = () => {
    this.process?.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Ends the program as a power cut would, without giving it a moment. */
  kill() {
    return this.end('SIGKILL')
  }

  /** Ends the program and removes its folder. It has to leave in an orderly way. */
  async stop() {
    const code = await this.end('SIGTERM')
    rmSync(this.folder, { recursive: true, force: true })
    if (code !== 0) throw new Error(`The server ended with ${code}:\n${this.output.slice(-20).join('\n')}`)
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.process
    if (!child) throw new Error('The server is not running.')
    process.off('exit', this.die)
    if (child.exitCode !== null || child.signalCode) return child.exitCode
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill(signal)
    return ended
  }

  /** Makes somebody who is signed in nowhere, through the same door that the register page uses. */
  async person(name = 'Ada Lovelace'): Promise<Person> {
    const person = {
      name,
      email: `${unique('person')}@example.com`,
      password: `pass-${randomBytes(9).toString('base64url')}`,
    }
    const jar = new Jar(this.origin)
    const { user } = await jar.json<{ user: { id: string } }>('POST', '/api/auth/sign-up/email', person)
    await jar.json('POST', '/api/auth/sign-out')
    return { ...person, id: user.id }
  }

  /** Signs somebody in and returns the cookies of a browser of theirs. */
  async signIn({ email, password }: { email: string; password: string }): Promise<Jar> {
    const jar = new Jar(this.origin)
    await jar.json('POST', '/api/auth/sign-in/email', { email, password })
    return jar
  }

  /** Calls the admin API as the superadmin. */
  async administer<T>(method: string, path: string, body?: unknown): Promise<T> {
    this.operator ??= await this.signIn(admin)
    return this.operator.json<T>(method, `/api/admin${path}`, body)
  }

  application(input: Record<string, unknown>): Promise<Application> {
    return this.administer('POST', '/applications', input)
  }

  /** Makes an organization with an owner. */
  organization(owner: Person, name = unique('Guild')): Promise<Organization> {
    return this.administer('POST', '/organizations', {
      name,
      slug: unique('guild'),
      ownerId: owner.id,
    })
  }

  async addMember(organization: Organization, person: Person, role = 'member') {
    await this.administer('POST', `/organizations/${organization.id}/members`, {
      userId: person.id,
      role,
    })
  }

  /** Invites somebody, and returns the path of the page where they answer. */
  async invite(organization: Organization, email: string, role = 'member'): Promise<string> {
    const path = `/organizations/${organization.id}/invitations`
    const { acceptUrl } = await this.administer<{ acceptUrl: string }>('POST', path, { email, role })
    const { pathname, search } = new URL(acceptUrl)
    return pathname + search
  }
}
