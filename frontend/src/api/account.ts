import { request } from './http'

export type Role = 'user' | 'admin' | 'superadmin'

export interface User {
  id: string
  name: string
  email: string
  emailVerified: boolean
  image: string | null
  role: Role
  createdAt: string
}

export interface Session {
  id: string
  expiresAt: string
}

export interface SignedIn {
  session: Session
  user: User
}

/** The signed-in person, or null: the server answers 200 either way, because being signed out is no error. */
export const getSession = () => request<SignedIn | null>('GET', '/api/auth/get-session')

export const signIn = (body: { email: string; password: string; rememberMe: boolean }) =>
  request<{ user: User }>('POST', '/api/auth/sign-in/email', { body })

export const signUp = (body: { name: string; email: string; password: string }) =>
  request<{ token: string | null; user: User }>('POST', '/api/auth/sign-up/email', { body })

export const signOut = () => request<void>('POST', '/api/auth/sign-out', { body: {} })

export const updateUser = (body: { name?: string; image?: string | null }) =>
  request<void>('POST', '/api/auth/update-user', { body })

export const changePassword = (body: { currentPassword: string; newPassword: string; revokeOtherSessions: boolean }) =>
  request<void>('POST', '/api/auth/change-password', { body })

export const deleteUser = (body: { password: string }) => request<void>('POST', '/api/auth/delete-user', { body })
