import { expect, type Page } from '@playwright/test'
import * as oidc from 'openid-client'
import type { Application, AuthServer } from '../server'
import { unique } from '../server'
import { bodyOf, redirect, resultPage, Site } from './site'

/** What the client knows after a sign-in. */
export interface SignedIn {
  state: string
  claims: oidc.IDToken
  accessToken: string
  refreshToken?: string
  idToken: string
  scope?: string
}

/** What the client was told instead. */
export interface Refused {
  state: string
  error: string
}

interface Pending {
  verifier: string
  nonce: string
  maxAge?: number
}

/** A web application with a server of its own, by means of openid-client. */
export class WebClient {
  private readonly pending = new Map<string, Pending>()

  private constructor(
    public application: Application,
    public config: oidc.Configuration,
    private readonly site: Site,
  ) {}

  static async start(server: AuthServer, input: Record<string, unknown> = {}): Promise<WebClient> {
    let client: WebClient | undefined
    const site = await Site.start((url, request) =>
      client?.handle(url, request.method === 'POST' ? () => bodyOf(request) : undefined),
    )
    const application = await server.application({
      name: unique('Ledger'),
      type: 'web',
      redirectUris: [`${site.origin}/callback`],
      postLogoutRedirectUris: [`${site.origin}/bye`],
      ...input,
    })
    const config = await WebClient.discover(server, application.clientId, application.clientSecret)
    client = new WebClient(application, config, site)
    return client
  }

  static discover(server: AuthServer, id: string, secret: string | null): Promise<oidc.Configuration> {
    const method = secret ? oidc.ClientSecretBasic(secret) : oidc.None()
    return oidc.discovery(new URL(server.issuer), id, undefined, method, {
      execute: [oidc.allowInsecureRequests],
    })
  }

  stop() {
    return this.site.stop()
  }

  /** Goes on as another application, whose redirect URI is this site's. */
  become(application: Application, config: oidc.Configuration) {
    this.application = application
    this.config = config
  }

  get origin() {
    return this.site.origin
  }

  private async handle(url: URL, body?: () => Promise<string>) {
    switch (url.pathname) {
      case '/login':
        return redirect((await this.authorizationURL(Object.fromEntries(url.searchParams))).href)
      case '/callback':
        return this.callback(url, await body?.())
      case '/logout':
        return redirect(oidc.buildEndSessionUrl(this.config, Object.fromEntries(url.searchParams)).href)
      case '/bye':
        return resultPage('Signed out of the client', Object.fromEntries(url.searchParams))
    }
  }

  /** Begins a sign-in, with further parameters or other ones. */
  async authorizationURL(parameters: Record<string, string> = {}): Promise<URL> {
    const state = parameters.state ?? oidc.randomState()
    const verifier = oidc.randomPKCECodeVerifier()
    const nonce = oidc.randomNonce()
    this.pending.set(state, { verifier, nonce, maxAge: parameters.max_age ? Number(parameters.max_age) : undefined })
    return oidc.buildAuthorizationUrl(this.config, {
      redirect_uri: `${this.origin}/callback`,
      scope: 'openid profile email',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      nonce,
      ...parameters,
      state,
    })
  }

  private async callback(url: URL, form?: string) {
    const answer =
      form === undefined
        ? url
        : new Request(url, {
            method: 'POST',
            body: form,
            headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          })
    const state = (form === undefined ? url.searchParams : new URLSearchParams(form)).get('state') ?? ''
    try {
      const result = await this.exchange(answer, state)
      return resultPage(`Signed in as ${result.claims.sub}`, result)
    } catch (error) {
      if (!(error instanceof oidc.AuthorizationResponseError)) throw error
      return resultPage(`Refused: ${error.error}`, { state, error: error.error } satisfies Refused)
    }
  }

  /** Redeems the code of an answer, once everything in it is found right. */
  async exchange(answer: URL | Request, state: string): Promise<SignedIn> {
    const pending = this.pending.get(state)
    if (!pending) throw new Error(`nobody asked with the state ${state}`)
    const tokens = await oidc.authorizationCodeGrant(this.config, answer, {
      pkceCodeVerifier: pending.verifier,
      expectedState: state,
      expectedNonce: pending.nonce,
      maxAge: pending.maxAge,
      idTokenExpected: true,
    })
    const claims = tokens.claims()
    if (!claims || !tokens.id_token) throw new Error('no ID token')
    return {
      state,
      claims,
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      idToken: tokens.id_token,
      scope: tokens.scope,
    }
  }

  /** Opens the application's own sign-in link. */
  async begin(page: Page, parameters: Record<string, string> = {}) {
    await page.goto(`${this.origin}/login?${new URLSearchParams(parameters)}`)
  }

  /** Reads what the application shows once somebody is back and signed in. */
  async signedIn(page: Page): Promise<SignedIn> {
    await expect(page.getByRole('heading', { name: /^Signed in as / })).toBeVisible()
    return JSON.parse(await page.locator('pre').innerText()) as SignedIn
  }

  /** Reads what the application shows once somebody is back with a refusal. */
  async refused(page: Page): Promise<Refused> {
    await expect(page.getByRole('heading', { name: /^Refused: / })).toBeVisible()
    return JSON.parse(await page.locator('pre').innerText()) as Refused
  }
}

/** The error code with which the server refuses, such as invalid_grant. */
export async function errorOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError) return error.error
    if (error instanceof oidc.WWWAuthenticateChallengeError)
      return error.cause[0]?.parameters.error ?? `status ${error.status}`
    throw error
  }
  return 'none'
}
