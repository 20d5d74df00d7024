// Who may ask from where, and where people may be sent: contract 3.1 and 3.2.

import { APP } from '../parts.mjs'
import { PASSWORD, collection, enter } from './basis.mjs'

const { list, add } = collection()
export default list

add('origins with a cookie', 'main', async (s) => {
  const anna = await enter(s, 'anna.origin')
  const ask = (about, origin, headers = {}) => anna.post(about, '/update-user', { name: 'Anna' }, { origin, headers })
  await ask('the app', APP)
  await ask('the server itself', s.origin)
  await ask('a listed wildcard', 'https://one.apps.example.test')
  await ask('two labels below the wildcard', 'https://two.one.apps.example.test')
  await ask('the wildcard on http', 'http://one.apps.example.test')
  await ask('the wildcard with a port', 'https://one.apps.example.test:8443')
  await ask('the bare name below the wildcard', 'https://apps.example.test')
  await ask('none', null)
  await ask('null', 'null')
  await ask('null from the same origin', 'null', { 'sec-fetch-site': 'same-origin' })
  await ask('none from the same origin', null, { 'sec-fetch-site': 'same-origin' })
  await ask('untrusted', 'http://evil.example.test')
  await ask('another port', 'http://app.example.test:3001')
  await ask('another scheme', 'https://app.example.test:3000')
  await ask('a longer name', 'http://app.example.test:3000.evil.test')
  await ask('a prefix', 'http://evilapp.example.test:3000')
  await ask('user info', 'http://app.example.test:3000@evil.test')
  await ask('upper case', 'HTTP://APP.EXAMPLE.TEST:3000')
  await ask('a final slash', `${APP}/`)
  await ask('a path', `${APP}/page`)
  await ask('an app scheme', 'myapp://')
  await ask('an app scheme with a host', 'myapp://home')
  await ask('another app scheme', 'otherapp://')
  await ask('garbage', 'garbage')
  await ask('empty', '')
  await ask('a trusted referer', null, { referer: `${APP}/page?x=1` })
  await ask('an untrusted referer', null, { referer: 'http://evil.example.test/page' })
  await ask('an untrusted origin, trusted referer', 'http://evil.example.test', { referer: `${APP}/` })
  await anna.get('reading needs none', '/get-session', { origin: 'http://evil.example.test' })
  await anna.post('sign-out, untrusted', '/sign-out', {}, { origin: 'http://evil.example.test' })
  await anna.post('any cookie counts', '/sign-in/email', { email: anna.email, password: PASSWORD }, { origin: null, jar: false, cookie: 'theme=dark' })
  await anna.post('any cookie counts for routes without a session', '/request-password-reset', { email: 'x@example.org' }, { origin: null, jar: false, cookie: 'theme=dark' })
})

add('origins without a cookie', 'main', async (s) => {
  const anna = await enter(s, 'anna.nocookie')
  const json = { email: anna.email, password: PASSWORD }
  const ask = (about, origin, headers = {}, path = '/sign-in/email', body = json) => anna.post(about, path, body, { origin, headers, jar: false })
  await ask('nothing at all', null)
  await ask('the app', APP)
  await ask('untrusted', 'http://evil.example.test')
  await ask('null', 'null')
  await ask('cross-site page', null, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' })
  await ask('cross-site page of the app', APP, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' })
  await ask('cross-site fetch of the app', APP, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' })
  await ask('fetch metadata, no origin', null, { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' })
  await ask('an untrusted referer', null, { referer: 'http://evil.example.test/x' })
  await ask('sign-up, cross-site page', null, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, '/sign-up/email', { ...json, name: 'X' })
  await ask('sign-up, untrusted', 'http://evil.example.test', {}, '/sign-up/email', { ...json, name: 'X' })
  await ask('magic link, untrusted', 'http://evil.example.test', {}, '/sign-in/magic-link', { email: anna.email })
  await ask('one-time code, untrusted', 'http://evil.example.test', {}, '/email-otp/send-verification-otp', { email: anna.email, type: 'sign-in' })
  await ask('sign-in by username, untrusted', 'http://evil.example.test', {}, '/sign-in/username', { username: 'nobody', password: PASSWORD })
  await ask('reset, untrusted', 'http://evil.example.test', {}, '/request-password-reset', { email: 'nobody.nocookie@example.org' })
  await ask('sign-in by provider, untrusted', 'http://evil.example.test', {}, s.v17 ? '/sign-in/social' : '/sign-in/oauth2', s.v17 ? { provider: 'authentik' } : { providerId: 'authentik' })
})

const TARGETS = [
  ['a path', '/welcome'],
  ['a path with query', '/welcome?a=b&c=%20d#e'],
  ['the root', '/'],
  ['the app', `${APP}/welcome`],
  ['a wildcard host', 'https://one.apps.example.test/x'],
  ['an app link', 'myapp://home'],
  ['another host', 'http://evil.example.test/'],
  ['no scheme', '//evil.example.test/'],
  ['a backslash', '/\\evil.example.test'],
  ['two backslashes', '\\\\evil.example.test'],
  ['an encoded slash', '/%2fevil.example.test'],
  ['an encoded backslash', '/%5cevil.example.test'],
  ['an encoded slash in the query', '/x?next=%2fy'],
  ['a tab', '/\t/evil.example.test'],
  ['a line feed', '/x\n/y'],
  ['javascript', 'javascript:alert(1)'],
  ['data', 'data:text/html,x'],
  ['user info', `http://app.example.test:3000@evil.example.test/`],
  ['a longer name', 'http://app.example.test:3000.evil.example.test/'],
  ['a bare name', 'welcome'],
  ['empty', ''],
  ['dots', '/../x'],
  ['unicode', '/grüße'],
]

add('where people may be sent', 'main', async (s) => {
  const anna = await enter(s, 'anna.urls')
  await anna.call('signOut')
  for (const [about, callbackURL] of TARGETS) {
    await anna.post(`callbackURL: ${about}`, '/sign-in/email', { email: anna.email, password: PASSWORD, callbackURL }, { jar: false })
  }
  await anna.post('callbackURL: a number', '/sign-in/email', { email: anna.email, password: PASSWORD, callbackURL: 5 }, { jar: false })
  await anna.post('callbackURL: null', '/sign-in/email', { email: anna.email, password: PASSWORD, callbackURL: null }, { jar: false })
  await anna.post('callbackURL: a list', '/sign-in/email', { email: anna.email, password: PASSWORD, callbackURL: ['/x'] }, { jar: false })
  const evil = 'http://evil.example.test/'
  await anna.post('redirectTo', '/request-password-reset', { email: anna.email, redirectTo: evil }, { jar: false })
  await anna.post('redirectTo: a number', '/request-password-reset', { email: anna.email, redirectTo: 7 }, { jar: false })
  const [path, key] = s.v17 ? ['/sign-in/social', 'provider'] : ['/sign-in/oauth2', 'providerId']
  for (const field of ['callbackURL', 'errorCallbackURL', 'newUserCallbackURL']) {
    await anna.post(field, path, { [key]: 'authentik', [field]: evil }, { jar: false })
    await anna.post(`${field}: a number`, path, { [key]: 'authentik', [field]: 1 }, { jar: false })
  }
  await anna.post('callbackURL at sign-up', '/sign-up/email', { name: 'X', email: 'x.urls@example.org', password: PASSWORD, callbackURL: evil }, { jar: false })
  for (const [about, at] of [
    ['verify-email', '/verify-email?token=none&callbackURL='],
    ['reset-password', '/reset-password/none?callbackURL='],
    ['magic-link', '/magic-link/verify?token=none&callbackURL='],
    ['magic-link new user', '/magic-link/verify?token=none&newUserCallbackURL='],
    ['magic-link error', '/magic-link/verify?token=none&errorCallbackURL='],
    ['delete-user', '/delete-user/callback?token=none&callbackURL='],
  ]) {
    await anna.get(`${about}: evil`, at + encodeURIComponent(evil))
    await anna.get(`${about}: a path`, `${at}/welcome`)
    await anna.get(`${about}: the app`, at + encodeURIComponent(`${APP}/welcome?a=b`))
    await anna.get(`${about}: empty`, at)
  }
})
