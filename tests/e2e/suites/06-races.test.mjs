// Fifty at once: single use is decided once, whatever the timing.

import { after, before, test } from 'node:test'
import { ALICE, startDoorward } from '../lib/doorward.mjs'
import { assert, expectOAuthError, expectStatus, expectTokens } from '../lib/expect.mjs'
import { Visitor } from '../lib/http.mjs'
import { HandClient } from '../lib/oauth.mjs'

const REDIRECT = 'http://127.0.0.1:9/callback'
const FIFTY = Array.from({ length: 50 })
let door, party, visitor

before(async () => {
  door = await startDoorward()
  await door.addPeople()
  const app = await door.addApplication('racer', '--confidential', '--redirect-uri', REDIRECT, '--allow-group', 'staff')
  party = new HandClient(door, app, REDIRECT)
  visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
})
after(() => door?.stop())

const tally = (answers) => {
  const counts = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

for (let round = 1; round <= 3; round += 1) {
  test(`50 redemptions of one code at once, round ${round}: one wins, the rest invalid_grant, then the family is dead`, async () => {
    const { code, verifier } = await party.code(visitor, ALICE)
    const answers = await Promise.all(FIFTY.map(() => party.redeem(code, verifier)))
    const won = answers.filter(({ status }) => status === 200)
    assert.equal(won.length, 1, `got: ${JSON.stringify(tally(answers))}\n${answers.find(({ status }) => status >= 500) ?? ''}`)
    for (const answer of answers) if (answer !== won[0]) expectOAuthError(answer, 400, 'invalid_grant')
    const tokens = won[0].json()
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      assert.deepEqual((await party.introspect(token)).json(), { active: false }, 'RFC 6749 4.1.2: tokens of a code used twice are revoked')
    }
    expectStatus(await party.userinfo(tokens.access_token), 401)
  })

  test(`50 refreshes of one token at once, round ${round}: one new token for all, no 5xx`, async () => {
    const { refresh_token: token } = await party.tokens(visitor, ALICE)
    const answers = await Promise.all(FIFTY.map(() => party.refresh(token)))
    const bad = answers.find(({ status }) => status !== 200)
    assert.ok(!bad, `got: ${JSON.stringify(tally(answers))}\n${bad}`)
    const fresh = new Set(answers.map((answer) => answer.json().refresh_token))
    assert.equal(fresh.size, 1, `got ${fresh.size} different refresh tokens`)
    assert.ok(!fresh.has(token))
    assert.equal((await party.introspect([...fresh][0])).json().active, true)
  })
}

test('a refresh token sent again within 10 s gets the same answer', async () => {
  const { refresh_token: token } = await party.tokens(visitor, ALICE)
  const first = expectTokens(await party.refresh(token))
  const again = expectTokens(await party.refresh(token))
  assert.equal(again.refresh_token, first.refresh_token)
  expectTokens(await party.refresh(first.refresh_token))
})

test('a refresh token sent again after 11 s: invalid_grant, and the whole family is dead', async () => {
  const { refresh_token: token } = await party.tokens(visitor, ALICE)
  const first = expectTokens(await party.refresh(token))
  await new Promise((resolve) => setTimeout(resolve, 11_500))
  expectOAuthError(await party.refresh(token), 400, 'invalid_grant')
  expectOAuthError(await party.refresh(first.refresh_token), 400, 'invalid_grant')
  for (const dead of [first.access_token, first.refresh_token]) {
    assert.deepEqual((await party.introspect(dead)).json(), { active: false })
  }
})

test('a grandparent refresh token within the grace never makes a new token', async () => {
  const { refresh_token: one } = await party.tokens(visitor, ALICE)
  const two = expectTokens(await party.refresh(one)).refresh_token
  const three = expectTokens(await party.refresh(two)).refresh_token
  const answer = await party.refresh(one)
  if (answer.status === 200) {
    assert.ok([two, three].includes(answer.json().refresh_token), `a third token appeared\n${answer}`)
  } else {
    expectOAuthError(answer, 400, 'invalid_grant')
    assert.deepEqual((await party.introspect(three)).json(), { active: false })
  }
})

test('30 people who sign in and 50 token requests at once: nothing fails but with an honest 503 and Retry-After', async () => {
  const people = FIFTY.slice(0, 30).map((_, index) => ({
    username: `person-${index}`,
    email: `person-${index}@example.org`,
    password: `storm-Lantern-${index}-copper`,
  }))
  for (let index = 0; index < people.length; index += 3) await Promise.all(people.slice(index, index + 3).map((person) => door.addUser(person)))
  const codes = await Promise.all(FIFTY.map(() => party.code(visitor, ALICE)))
  const [pages, tokens] = await Promise.all([
    Promise.all(people.map((person) => new Visitor(door.url).walk('/if/user/', person))),
    Promise.all(codes.map(({ code, verifier }) => party.redeem(code, verifier))),
  ])
  for (const answer of tokens) expectTokens(answer)
  for (const { page } of pages) {
    if (page.status === 503) assert.ok(page.headers['retry-after'], `503 without Retry-After\n${page}`)
    else expectStatus(page, 200)
  }
  assert.ok(pages.some(({ page }) => page.status === 200), 'somebody got in')
})

test('revocation during refreshes: once revoked, nothing of the family lives', async () => {
  const { refresh_token: token } = await party.tokens(visitor, ALICE)
  const answers = await Promise.all([...FIFTY.slice(0, 20).map(() => party.refresh(token)), party.revoke(token)])
  const revoked = answers.pop()
  expectStatus(revoked, 200)
  for (const answer of answers) {
    expectStatus(answer, 200, 400)
    if (answer.status === 200) {
      const { refresh_token: child, access_token: access } = answer.json()
      assert.equal((await party.introspect(child)).json().active, false)
      assert.equal((await party.introspect(access)).json().active, false)
    }
  }
})
