import type { RouteRecordRaw } from 'vue-router'
import type { Area } from '@/i18n'
// Not lazy: most first visits end on this page, and one file travels faster than the thirty that it would be split into.
import AuthLayout from '@/layouts/AuthLayout.vue'
import SignInView from '@/views/auth/SignInView.vue'

declare module 'vue-router' {
  interface RouteMeta {
    /** The messages that the page needs beside the common ones. */
    area?: Area
    /** Key of the page's name in the browser tab. */
    title?: string
    /** guest: of no use to a person who is signed in. admin: others see an explanation instead. */
    access?: 'public' | 'guest' | 'signedIn' | 'admin'
  }
}

export const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/account' },
  {
    path: '/',
    component: AuthLayout,
    meta: { area: 'auth', access: 'public' },
    children: [
      {
        path: 'sign-in',
        name: 'signIn',
        component: SignInView,
        meta: { access: 'guest', title: 'titles.signIn' },
      },
      {
        path: 'register',
        name: 'register',
        component: () => import('@/views/auth/RegisterView.vue'),
        meta: { access: 'guest', title: 'titles.register' },
      },
      {
        path: 'consent',
        name: 'consent',
        component: () => import('@/views/auth/ConsentView.vue'),
        meta: { title: 'titles.consent' },
      },
      {
        path: 'select-account',
        name: 'selectAccount',
        component: () => import('@/views/auth/SelectAccountView.vue'),
        meta: { title: 'titles.selectAccount' },
      },
      {
        path: 'select-organization',
        name: 'selectOrganization',
        component: () => import('@/views/auth/SelectOrganizationView.vue'),
        meta: { title: 'titles.selectOrganization' },
      },
      {
        path: 'accept-invitation',
        name: 'acceptInvitation',
        component: () => import('@/views/auth/AcceptInvitationView.vue'),
        meta: { title: 'titles.acceptInvitation' },
      },
      {
        path: 'sign-out',
        name: 'signOut',
        component: () => import('@/views/auth/SignOutView.vue'),
        meta: { title: 'titles.signOut' },
      },
      {
        path: 'signed-out',
        name: 'signedOut',
        component: () => import('@/views/auth/SignedOutView.vue'),
        meta: { title: 'titles.signedOut' },
      },
      {
        path: 'error',
        name: 'error',
        component: () => import('@/views/auth/ErrorView.vue'),
        meta: { title: 'titles.error' },
      },
      {
        path: ':unknown(.*)*',
        name: 'notFound',
        component: () => import('@/views/auth/NotFoundView.vue'),
        meta: { title: 'titles.notFound' },
      },
    ],
  },
  {
    path: '/account',
    component: () => import('@/layouts/AccountLayout.vue'),
    meta: { area: 'account', access: 'signedIn' },
    children: [
      {
        path: '',
        name: 'profile',
        component: () => import('@/views/account/ProfileView.vue'),
        meta: { title: 'titles.profile' },
      },
      {
        path: 'security',
        name: 'security',
        component: () => import('@/views/account/SecurityView.vue'),
        meta: { title: 'titles.security' },
      },
      {
        path: 'sessions',
        name: 'sessions',
        component: () => import('@/views/account/SessionsView.vue'),
        meta: { title: 'titles.sessions' },
      },
      {
        path: 'applications',
        name: 'connectedApplications',
        component: () => import('@/views/account/ConnectedApplicationsView.vue'),
        meta: { title: 'titles.connectedApplications' },
      },
      {
        path: 'organizations',
        name: 'organizations',
        component: () => import('@/views/account/OrganizationsView.vue'),
        meta: { title: 'titles.organizations' },
      },
    ],
  },
  {
    path: '/admin',
    component: () => import('@/layouts/AdminLayout.vue'),
    meta: { area: 'admin', access: 'admin' },
    redirect: { name: 'applications' },
    children: [
      {
        path: 'applications',
        name: 'applications',
        component: () => import('@/views/admin/ApplicationsView.vue'),
        meta: { title: 'titles.applications' },
      },
      {
        path: 'applications/new',
        name: 'newApplication',
        component: () => import('@/views/admin/NewApplicationView.vue'),
        meta: { title: 'titles.newApplication' },
      },
      {
        path: 'applications/:id',
        name: 'application',
        component: () => import('@/views/admin/ApplicationView.vue'),
        meta: { title: 'titles.application' },
      },
    ],
  },
]
