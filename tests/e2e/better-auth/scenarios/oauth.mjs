// Signing in at a provider: contract 1.3, 1.5, 4.4, 5.1, 10.1. In both dialects, each with its own routes.

import { APP } from '../parts.mjs'
import { PASSWORD, collection, enter, prove } from './basis.mjs'

const { list, add } = collection()
export default list

/** Starts at the provider in the dialect of the version. */
export function begin(browser, provider, more = {}, about) {
  const args = browser.scene.v17 ? ['signIn.social', { provider, ...more }] : ['signIn.oauth2', { providerId: provider, ...more }]
  if (about) args.splice(1, 0, about)
  return browser.call(...args)
}

const URLS = { callbackURL: '/in', newUserCallbackURL: '/new?x=1', errorCallbackURL: `${APP}/oops?from=idp` }

async function visit(s, browser, person, { provider = 'authentik', more = URLS, about, keep } = {}) {
  const start = await begin(browser, provider, more, about)
  s.idp.next = person
  return browser.through(start, { about, keep })
}

add('a provider brings a new user, and again', 'main', async (s) => {
  const person = { sub: 'new-1', email: 'New.Oauth@Example.org', email_verified: true, name: 'New One', picture: 'https://img.example.test/n.png' }
  const anna = s.browser()
  await visit(s, anna, person, { about: 'new' })
  await anna.call('getSession')
  await anna.call('listAccounts')
  const again = s.browser()
  await visit(s, again, { ...person, name: 'Renamed' }, { about: 'known' })
  await again.call('getSession', 'not renamed')
  await visit(s, s.browser(), { ...person, email: 'moved.oauth@example.org' }, { about: 'known, another address' })
  const bare = s.browser()
  await visit(s, bare, { sub: 'new-2', email: 'bare.oauth@example.org', email_verified: true, name: 'Bare' }, { more: {}, about: 'no URLs' })
  await visit(s, s.browser(), { sub: 'new-3', email: 'noname.oauth@example.org', email_verified: true }, { about: 'no name' })
  await visit(s, s.browser(), { sub: 'new-4', email: 'unproved.oauth@example.org', email_verified: false, name: 'Unproved' }, { about: 'address not proved' })
  await visit(s, s.browser(), { sub: 'new-5', email: 'silent.oauth@example.org', name: 'Silent' }, { about: 'nothing said of the proof' })
})

add('what goes wrong at a provider', 'main', async (s) => {
  const person = { sub: 'wrong-1', email: 'wrong.oauth@example.org', email_verified: true, name: 'Wrong' }
  const go = (about, more, options) => visit(s, s.browser(), { ...person, ...more }, { about, ...options })
  await go('no e-mail', { email: undefined })
  await go('no e-mail, no URLs', { email: undefined }, { more: {} })
  await go('access denied', { error: 'access_denied', error_description: 'The user said no' })
  await go('access denied, no URLs', { error: 'access_denied' }, { more: {} })
  await go('an odd error', { error: 'server_error"><script>' })
  await go('no code', { dropCode: true })
  await go('a bad code', { badCode: true })
  await go('no id token', { noIdToken: true, sub: 'wrong-2', email: 'wrong2.oauth@example.org' })
  await go('a bad nonce', { badNonce: true })
  await go('a bad issuer', { badIssuer: true })
  await go('a bad audience', { badAudience: true })
  await go('a stale id token', { stale: true })
  await go('no id token, no user info', { noIdToken: true, noUserInfo: true })
  await go('the issuer beside the code', { sub: 'wrong-3', email: 'wrong3.oauth@example.org', iss: s.idp.issuer })
  await go('another issuer beside the code', { iss: 'http://other.example.test/' })
  await go('no subject', { sub: undefined })
})

add('the state of a sign-in', 'main', async (s) => {
  const person = { sub: 'state-1', email: 'state.oauth@example.org', email_verified: true, name: 'State' }
  const go = (about, keep) => visit(s, s.browser(), person, { about, keep })
  const path = s.v17 ? '/callback/authentik' : '/oauth2/callback/authentik'
  const anna = s.browser()
  await anna.get('nothing', path)
  await anna.get('code only', `${path}?code=x`)
  await anna.get('unknown state', `${path}?code=x&state=unknownunknownunknownunknown1234`)
  await anna.get('error and unknown state', `${path}?error=access_denied&state=unknownunknownunknownunknown1234`)
  await anna.get('error only', `${path}?error=access_denied`)
  await anna.get('unknown provider', `${path.replace('authentik', 'unknown')}?code=x&state=y`)
  await go('state changed', (url) => url.searchParams.set('state', 'unknownunknownunknownunknown1234'))
  await go('state dropped', (url) => url.searchParams.delete('state'))
  const start = await begin(anna, 'authentik', URLS)
  s.idp.next = person
  const eve = s.browser()
  await eve.through(start, { about: 'in another browser' })
  let back
  const twice = await begin(anna, 'authentik', URLS)
  await anna.through(twice, { about: 'first time', keep: (url) => (back = url.href) })
  await anna.get('the same callback again', back ?? path)
  const third = await begin(anna, 'authentik', URLS)
  await begin(anna, 'authentik', URLS, 'another start in between')
  await anna.through(third, { about: 'the one before' })
  const posted = await begin(anna, 'authentik', URLS)
  let target
  await anna.through(posted, { about: 'looked at', keep: (url) => { target = new URL(url); url.searchParams.set('state', 'unknownunknownunknownunknown1234') } })
  if (target && s.v17) await anna.raw('form_post', 'POST', path, { form: Object.fromEntries(target.searchParams), origin: null, jar: false })
})

add('the start of a sign-in', 'main', async (s) => {
  const anna = s.browser()
  await begin(anna, 'unknown')
  await begin(anna, 'authentik', { disableRedirect: true }, 'no redirect')
  await begin(anna, 'authentik', { scopes: ['extra', 'email'] }, 'more scopes')
  await begin(anna, 'plain', { callbackURL: '/in' }, 'without discovery')
  if (s.v17) {
    await begin(anna, 'authentik', { loginHint: 'anna@example.org' }, 'login hint')
    await begin(anna, 'authentik', { additionalParams: { prompt: 'login', acr_values: 'x' } }, 'more parameters')
    await begin(anna, 'authentik', { additionalParams: { client_id: 'evil' } }, 'a reserved parameter')
    await begin(anna, 'google', {}, 'a provider that is not set up')
    await anna.post('nothing', '/sign-in/social', {})
    await anna.post('the old route', '/sign-in/oauth2', { providerId: 'authentik', callbackURL: '/in' })
  } else {
    await anna.post('nothing', '/sign-in/oauth2', {})
    await anna.call('signIn.social', 'a generic provider', { provider: 'authentik' })
    await anna.call('signIn.social', 'unknown', { provider: 'google' })
  }
})

add('when somebody new may come', 'main', async (s) => {
  const person = { sub: 'may-1', email: 'may.oauth@example.org', email_verified: true, name: 'May' }
  const go = (about, provider, more = {}, who = person) => visit(s, s.browser(), who, { about, provider, more: { ...URLS, ...more } })
  await go('only when asked for', 'asked')
  await go('asked for', 'asked', { requestSignUp: true })
  await go('known, not asked for', 'asked')
  await go('never', 'closed', { requestSignUp: true }, { ...person, sub: 'may-2', email: 'may2.oauth@example.org' })
  await go('without discovery', 'plain', {}, { ...person, sub: 'may-3', email: 'may3.oauth@example.org' })
  await go('without discovery, no e-mail', 'plain', {}, { sub: 'may-4', name: 'May' })
})

add('an address that is known', 'main', async (s) => {
  const anna = await enter(s, 'anna.linking')
  const person = { sub: 'link-1', email: anna.email, email_verified: true, name: 'Anna' }
  const go = (about, provider, more) => visit(s, s.browser(), { ...person, ...more }, { about, provider })
  await go('here not proved', 'authentik')
  await go('here not proved, trusted provider', 'trusted')
  await prove(s, anna)
  await go('here proved, there not', 'authentik', { email_verified: false })
  await go('proved on both sides', 'authentik')
  await go('there not proved, but trusted', 'trusted', { sub: 'link-2', email_verified: false })
  await go('a second account of the same provider', 'authentik', { sub: 'link-3' })
  await anna.call('listAccounts')
  const twin = await enter(s, 'twin.linking')
  await go('known account, address of somebody else', 'authentik', { email: twin.email })
})

add('id tokens handed over', 'main', async (s) => {
  const person = { sub: 'hand-1', email: 'hand.oauth@example.org', email_verified: true, name: 'Hand' }
  const go = async (about, token, more = {}) => s.browser().call('signIn.social', about, { provider: 'authentik', idToken: { token, ...more } })
  await go('no nonce', await s.idp.idToken(person))
  await go('with its nonce', await s.idp.idToken(person, 'nonce-1'), { nonce: 'nonce-1' })
  await go('another nonce', await s.idp.idToken(person, 'nonce-1'), { nonce: 'nonce-2' })
  await go('another audience', await s.idp.idToken({ ...person, badAudience: true }))
  await go('run out', await s.idp.idToken({ ...person, stale: true }))
  await go('garbage', 'garbage')
  await go('no e-mail', await s.idp.idToken({ ...person, sub: 'hand-2', email: undefined }, 'n'), { nonce: 'n' })
})
