import { request } from './http'
import type { components } from './schema'

/** An organization of the person, with what they are there. */
export type Organization = components['schemas']['OwnOrganizationBody']

/** An invitation that waits for the person. Whoever knows its id and owns its address may answer it. */
export type Invitation = components['schemas']['ReceivedInvitationBody']
export type OpenedInvitation = components['schemas']['OpenedInvitationBody']

const base = '/api/auth/organization'

export const listOrganizations = () => request<Organization[]>('GET', `${base}/list`)

/** Null: none any more. */
export const setActiveOrganization = (organizationId: string | null) =>
  request<void>('POST', `${base}/set-active`, { body: { organizationId } })

export const leaveOrganization = (organizationId: string) =>
  request<void>('POST', `${base}/leave`, { body: { organizationId } })

export const listInvitations = () => request<Invitation[]>('GET', `${base}/list-user-invitations`)

export const getInvitation = (id: string) =>
  request<OpenedInvitation>('GET', `${base}/get-invitation?${new URLSearchParams({ id })}`)

export const acceptInvitation = (invitationId: string) =>
  request<void>('POST', `${base}/accept-invitation`, { body: { invitationId } })

export const rejectInvitation = (invitationId: string) =>
  request<void>('POST', `${base}/reject-invitation`, { body: { invitationId } })
