import { request } from './http'
import type { components } from './schema'

/** An authorization request that waits for the person. Everything about it is decided by the server; this is only its view. */
export type AuthorizationRequest = components['schemas']['AuthorizationRequest']
export type RequestScope = components['schemas']['RequestScope']
export type RequestOrganization = components['schemas']['RequestOrganization']

/** What an authorization request still needs of the person before it can be answered. */
export type NextStep = NonNullable<AuthorizationRequest['next']>

const path = (id: string) => `/api/auth/oauth2/requests/${encodeURIComponent(id)}`

export const getRequest = (id: string) => request<AuthorizationRequest>('GET', path(id))

export const consent = (id: string, body: components['schemas']['ConsentDecision']) =>
  request<AuthorizationRequest>('POST', `${path(id)}/consent`, { body })

export const selectAccount = (id: string) =>
  request<AuthorizationRequest>('POST', `${path(id)}/select-account`, { body: {} })

export const chooseOrganization = (id: string, organizationId: string) =>
  request<AuthorizationRequest>('POST', `${path(id)}/organization`, { body: { organizationId } })

export const cancelRequest = (id: string) =>
  request<components['schemas']['RedirectAnswer']>('POST', `${path(id)}/cancel`, { body: {} })
