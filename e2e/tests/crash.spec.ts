import * as oidc from 'openid-client'
import { expect, test as base } from '../support/fixtures'
import { createDatabase } from '../support/postgres'
import { AuthServer, unique, type Application, type Person } from '../support/server'

// A killed process must lose nothing that it acknowledged, and must not honour a code again that it honoured before.
// The requests are written by hand: a library would hide an answer that was cut off.
const callback = 'http://127.0.0.1:1/callback'

interface Login {
  code: string
  verifier: string
}

interface Tokens {
  refresh_token: string
}

class Caller {
  constructor(
    private readonly server: AuthServer,
    private readonly application: Application,
    private readonly cookie: string,
  ) {}

  static async start(server: AuthServer, person: Person): Promise<Caller> {
    const application = await server.application({
      name: unique('Burst'),
      type: 'web',
      skipConsent: true,
      redirectUris: [callback],
    })
    return new Caller(server, application, (await server.signIn(person)).header)
  }

  async login(): Promise<Login> {
    const verifier = oidc.randomPKCECodeVerifier()
    const parameters = new URLSearchParams({
      client_id: this.application.clientId,
      redirect_uri: callback,
      response_type: 'code',
      scope: 'openid offline_access',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    })
    const answer = await fetch(`${this.server.issuer}/oauth2/authorize?${parameters}`, {
      headers: { Cookie: this.cookie },
      redirect: 'manual',
    })
    const code = new URL(answer.headers.get('Location') ?? '', this.server.origin).searchParams.get('code')
    if (!code) throw new Error(`no code: ${answer.status} ${answer.headers.get('Location')}`)
    return { code, verifier }
  }

  exchange({ code, verifier }: Login) {
    return this.token({ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: callback })
  }

  refresh(token: string) {
    return this.token({ grant_type: 'refresh_token', refresh_token: token })
  }

  /** Returns the tokens, the error code, or undefined when there was no whole answer. */
  private async token(form: Record<string, string>): Promise<Tokens | string | undefined> {
    const { clientId, clientSecret } = this.application
    const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret ?? '')}`).toString(
      'base64',
    )
    try {
      const answer = await fetch(`${this.server.issuer}/oauth2/token`, {
        method: 'POST',
        headers: { Authorization: `Basic ${basic}` },
        body: new URLSearchParams(form),
      })
      const body = (await answer.json()) as Tokens & { error?: string }
      return answer.ok ? body : (body.error ?? `status ${answer.status}`)
    } catch {
      return undefined
    }
  }
}

const acknowledged = (outcome: Tokens | string | undefined): outcome is Tokens => typeof outcome === 'object'

const test = base.extend<{ own: AuthServer }>({
  own: async ({ database }, use) => {
    const settings: Record<string, string> = {
      AUTH_OAUTH_REFRESH_GRACE: '60s', // the restart must not eat up the time for a lost answer
      AUTH_SESSION_TOUCH: '1h',
    }
    if (database === 'postgres') settings.AUTH_DATABASE_URL = await createDatabase(process.env.E2E_POSTGRES_URL ?? '')
    const server = await AuthServer.start(settings)
    await use(server)
    await server.stop()
    expect(server.faults()).toEqual([])
  },
})

// Killed early, in the middle and late in the burst.
for (const after of [3, 30, 70]) {
  test(`killed after ${after} answers, the server has lost none of them and honours no code twice`, async ({
    own: server,
  }) => {
    const caller = await Caller.start(server, await server.person())
    const logins: Login[] = []
    for (let i = 0; i < 60; i++) logins.push(await caller.login())
    const [burst, first] = [logins.slice(0, 40), logins.slice(40)]
    const chains: string[] = [] // the newest refresh token that each of these got
    for (const login of first) {
      const outcome = await caller.exchange(login)
      if (!acknowledged(outcome)) throw new Error(`exchange: ${outcome}`)
      chains.push(outcome.refresh_token)
    }

    let answers = 0
    let killed: Promise<unknown> | undefined
    const count = () => {
      if (++answers === after) killed = server.kill() // at once, with the rest in flight
    }
    const granted = new Map<Login, Tokens>()
    const exchanges = burst.map(async (login) => {
      const outcome = await caller.exchange(login)
      if (!acknowledged(outcome)) return expect(outcome).toBeUndefined()
      granted.set(login, outcome)
      count()
    })
    const refreshes = chains.map(async (token, i) => {
      for (
        let outcome = await caller.refresh(token);
        outcome !== undefined;
        outcome = await caller.refresh(chains[i] ?? '')
      ) {
        if (!acknowledged(outcome)) throw new Error(`refresh: ${outcome}`)
        chains[i] = outcome.refresh_token
        count()
      }
    })
    await Promise.all([...exchanges, ...refreshes]) // which go on until the server is gone
    await killed
    await server.launch()

    for (const token of [...chains, ...[...granted.values()].map((tokens) => tokens.refresh_token)]) {
      expect(await caller.refresh(token), 'an acknowledged refresh token').toHaveProperty('refresh_token')
    }
    for (const login of burst) {
      const twice = [await caller.exchange(login), await caller.exchange(login)]
      const honoured = twice.filter(acknowledged).length
      expect(
        honoured,
        'a code whose exchange was acknowledged is dead, another works once at most',
      ).toBeLessThanOrEqual(granted.has(login) ? 0 : 1)
      expect(twice[1]).toBe('invalid_grant')
    }
  })
}
