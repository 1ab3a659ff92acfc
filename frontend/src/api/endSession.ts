import { request } from './http'
import type { components } from './schema'

/** The parameters of RP-initiated logout that the server handed on, named as OpenID Connect names them. */
export type EndSession = Omit<components['schemas']['SignOutConfirmation'], 'confirm'>

export const endSession = (parameters: EndSession) =>
  request<components['schemas']['RedirectAnswer']>('POST', '/api/auth/oauth2/end-session', {
    body: { confirm: true, ...parameters },
  })
