import { request } from './http'

/** The parameters of RP-initiated logout that the server handed on, named as OpenID Connect names them. */
export interface EndSession {
  client_id?: string
  post_logout_redirect_uri?: string
  state?: string
}

export const endSession = (parameters: EndSession) =>
  request<{ redirectTo: string }>('POST', '/api/auth/oauth2/end-session', { body: { confirm: true, ...parameters } })
