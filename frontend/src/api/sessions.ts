import { request } from './http'
import type { components } from './schema'

/** One signed-in browser. */
export type BrowserSession = components['schemas']['SessionBody']

export const listSessions = () => request<BrowserSession[]>('GET', '/api/auth/list-sessions')
export const revokeSession = (token: string) => request<void>('POST', '/api/auth/revoke-session', { body: { token } })
export const revokeOtherSessions = () => request<void>('POST', '/api/auth/revoke-other-sessions', { body: {} })
