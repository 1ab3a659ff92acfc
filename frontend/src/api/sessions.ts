import { request } from './http'

/** One signed-in browser. `token` is an opaque id that only ends the session; it does not open it. */
export interface BrowserSession {
  id: string
  token: string
  createdAt: string
  updatedAt: string
  expiresAt: string
  ipAddress: string | null
  userAgent: string | null
}

export const listSessions = () => request<BrowserSession[]>('GET', '/api/auth/list-sessions')
export const revokeSession = (token: string) => request<void>('POST', '/api/auth/revoke-session', { body: { token } })
export const revokeOtherSessions = () => request<void>('POST', '/api/auth/revoke-other-sessions', { body: {} })
