import { request } from './http'

/** What an authorization request still needs of the person before it can be answered. */
export type NextStep = 'sign_in' | 'sign_up' | 'select_account' | 'consent'

export interface RequestClient {
  clientId: string
  name: string
  logoUri?: string
  homepageUri?: string
  policyUri?: string
  tosUri?: string
  redirectHost: string
}

export interface RequestScope {
  name: string
  title: string
  description: string
  granted: boolean
}

/** An authorization request that waits for the person. Everything about it is decided by the server; this is only its view. */
export interface AuthorizationRequest {
  id: string
  client: RequestClient
  scopes: RequestScope[]
  next: NextStep | null
  redirectTo?: string
  loginHint?: string
  uiLocales?: string[]
  user: { id: string; name: string; email: string; image: string | null } | null
  expiresAt: string
}

const path = (id: string) => `/api/auth/oauth2/requests/${encodeURIComponent(id)}`

export const getRequest = (id: string) => request<AuthorizationRequest>('GET', path(id))

export const consent = (id: string, body: { accept: boolean; scopes?: string[] }) =>
  request<AuthorizationRequest>('POST', `${path(id)}/consent`, { body })

export const selectAccount = (id: string) =>
  request<AuthorizationRequest>('POST', `${path(id)}/select-account`, { body: {} })

export const cancelRequest = (id: string) => request<{ redirectTo: string }>('POST', `${path(id)}/cancel`, { body: {} })
