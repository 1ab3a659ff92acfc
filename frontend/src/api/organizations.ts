import { request } from './http'
import type { RequestOrganization } from './requests'

export type OrganizationRole = RequestOrganization['role']

/** An organization of the person, with what they are there. */
export interface Organization {
  id: string
  name: string
  slug: string
  logo: string | null
  role: OrganizationRole
  metadata: Record<string, unknown>
  createdAt: string
}

/** An invitation that waits for the person. Whoever knows its id and owns its address may answer it. */
export interface Invitation {
  id: string
  organizationId: string
  organizationName: string
  email: string
  role: OrganizationRole
  status: 'pending' | 'accepted' | 'rejected' | 'canceled'
  expiresAt: string
  createdAt: string
  inviterId: string | null
}

export interface OpenedInvitation extends Invitation {
  organizationSlug: string
  /** Null when no person invited, or they have no account any more. */
  inviterEmail: string | null
}

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
