#!/usr/bin/env node
// つくパス without script: registering, signing in and out, one's own page, and what others must not be able to do.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { Visitor, password, register, signIn, totp } from '../lib/visitor.mjs';

const city = await startCity({ args: ['--app.log_level=info', '--trust.attempts_per_address=1000'] });
const wrong = 'wrong and long enough';
const alert = (text) => /role="alert"[^>]*><p>([^<]*)/.exec(text)?.[1];
const session = (me) => me.cookies.get('session');

test('a resident registers and has a page of their own', async () => {
    const me = await register(city, 'hanako', { email: 'hanako@example.jp' });
    const page = await me.open('/en/my');
    assert.equal(page.status, 200);
    assert.match(page.text, /試験 花子/);
    const nobody = await new Visitor(city).open('/en/my');
    assert.equal(nobody.status, 303);
    assert.equal(nobody.to, '/en/sign-in?to=%2Fen%2Fmy');
});

test('a name that is taken, a password that is guessed and a date that cannot be are said beside the form', async () => {
    const me = new Visitor(city);
    const taken = await me.fill('/en/register', { login: 'HANAKO', name: 'x', password });
    assert.equal(taken.status, 409);
    assert.match(alert(taken.text), /taken/);
    const weak = await me.fill('/en/register', { login: 'taro', name: 'x', password: 'Password1234!' });
    assert.equal(weak.status, 400);
    assert.doesNotMatch(weak.text, /Password1234!/);
    const date = await me.fill('/en/register', { login: 'taro', name: '試験 太郎', birth_date: '1980-13-01', password });
    assert.match(alert(date.text), /date of birth/);
    assert.match(date.text, /value="試験 太郎"/);
});

test('no page may be stored or framed, and cookies are for this browser alone', async () => {
    const me = await register(city, 'frames');
    for (const path of ['/en/sign-in?fresh=1', '/en/my', '/en/my/ways', '/en/register', '/en/my/export']) {
        const { headers } = await me.open(path);
        assert.equal(headers.get('cache-control'), 'no-store', path);
        if (path.endsWith('export')) continue;
        assert.equal(headers.get('x-frame-options'), 'DENY', path);
        assert.match(headers.get('content-security-policy'), /frame-ancestors 'none'/);
    }
    const { res } = await signIn(city, 'frames');
    const cookie = res.headers.getSetCookie().find((line) => line.startsWith('session='));
    assert.match(cookie, /HttpOnly/);
    assert.match(cookie, /SameSite=Lax/);
});

test('every wrong attempt has the same status and the same words', async () => {
    await register(city, 'uniform');
    const answers = [];
    for (const login of ['uniform', 'nobody-at-all', 'another nobody', '<script>']) {
        const { res, me } = await signIn(city, login, wrong);
        assert.equal(session(me), undefined);
        answers.push(`${res.status} ${res.text.replace(/value="[^"]*"/g, '')}`);
    }
    for (const answer of answers) assert.equal(answer, answers[0]);
    assert.match(answers[0], /^403 /);
});

test('a form of another page, another browser or another site changes nothing', async () => {
    const me = await register(city, 'forms');
    const other = await register(city, 'others');
    await me.open('/en/my/devices');
    await other.open('/en/my/devices');
    const send = (form, headers) => me.request('POST', '/en/my/devices', { form: { all: '1', ...form }, headers });
    assert.equal((await send({})).status, 403);
    assert.equal((await send({ csrf: '' })).status, 403);
    assert.equal((await send({ csrf: other.csrf() })).status, 403);
    await me.open('/en/my/devices');
    const csrf = me.csrf();
    assert.equal((await send({ csrf }, { 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    assert.equal((await send({ csrf }, { 'Sec-Fetch-Site': 'same-site' })).status, 403);
    assert.equal((await send({ csrf }, { Origin: 'https://evil.example' })).status, 403);
    assert.equal((await send({ csrf }, { Origin: 'null' })).status, 403);
    assert.equal((await send({ csrf }, { Origin: city.url, 'Sec-Fetch-Site': 'same-origin' })).status, 303);
});

test('nobody is signed in to an account that somebody else chose', async () => {
    await register(city, 'attacker');
    // The form of the attacker's browser, sent by the victim's.
    const attacker = new Visitor(city), victim = new Visitor(city);
    await attacker.open('/en/sign-in');
    const form = { csrf: attacker.csrf(), login: 'attacker', password };
    assert.equal((await victim.request('POST', '/en/sign-in', { form })).status, 403);
    await victim.open('/en/sign-in');
    assert.equal((await victim.request('POST', '/en/sign-in', { form })).status, 403);
    assert.equal(session(victim), undefined);
});

test('a session that was planted before is worth nothing after', async () => {
    await register(city, 'planted');
    const me = new Visitor(city);
    me.cookies.set('session', 'A'.repeat(43));
    await me.fill('/en/sign-in', { login: 'planted', password });
    assert.notEqual(session(me), 'A'.repeat(43));
    // The attacker's own session in the victim's browser ends with the victim's sign-in.
    const attacker = await register(city, 'planter');
    const victim = new Visitor(city);
    victim.cookies = new Map(attacker.cookies);
    await victim.open('/en/sign-in?fresh=1');
    await victim.send('/en/sign-in', { login: 'planted', password });
    assert.match((await victim.open('/en/my/data')).text, /value="planted"/);
    assert.equal((await attacker.open('/en/my')).status, 303);
    // Proving it once more gives another secret.
    const before = session(victim);
    await victim.fill('/en/sign-in?fresh=1', { login: 'planted', password });
    assert.notEqual(session(victim), before);
    const old = new Visitor(city);
    old.cookies.set('session', before);
    assert.equal((await old.open('/en/my')).status, 303);
});

test('nobody is led away from the city', async () => {
    await register(city, 'leading');
    for (const to of ['//evil.example/', '/\\evil.example', 'https://evil.example', '/a b', '/\tx', 'javascript:x', '']) {
        const me = new Visitor(city);
        await me.open(`/en/sign-in?to=${encodeURIComponent(to)}`);
        const res = await me.send('/en/sign-in', { login: 'leading', password, to });
        assert.equal(res.to, '/en/my', to);
    }
    const me = new Visitor(city);
    await me.open('/en/sign-in?to=%2Fen%2Fmy%2Fdata%3Fx%3D1');
    const res = await me.send('/en/sign-in', { login: 'leading', password, to: me.hidden('to') });
    assert.equal(res.to, '/en/my/data?x=1');
});

test('devices: signed out here, and from another one', async () => {
    const one = await register(city, 'devices');
    const { me: two } = await signIn(city, 'devices', password, { 'User-Agent': 'Mozilla/5.0 (iPhone) AppleWebKit Safari/604.1' });
    await one.open('/en/my/devices');
    assert.match(one.page, /Safari \(iPhone\)/);
    const id = /name="id" value="(\d+)"/.exec(one.page)[1];
    // Somebody else cannot end it by its number.
    const stranger = await register(city, 'stranger');
    await stranger.open('/en/my/devices');
    assert.equal((await stranger.send('/en/my/devices', { id })).status, 404);
    assert.equal((await two.open('/en/my')).status, 200);
    assert.equal((await one.send('/en/my/devices', { id })).status, 303);
    assert.equal((await two.open('/en/my')).status, 303);
    await one.open('/en/my');
    const cookie = session(one);
    assert.equal((await one.send('/en/sign-out', {})).status, 303);
    assert.equal(session(one), undefined);
    const old = new Visitor(city);
    old.cookies.set('session', cookie);
    assert.equal((await old.open('/en/my')).status, 303);
});

test('sign-ins are told in the inbox', async () => {
    const me = await register(city, 'inbox');
    await signIn(city, 'inbox', password, { 'User-Agent': 'Mozilla/5.0 (Windows NT 10.0) Firefox/140.0' });
    const page = await me.open('/en/my/notices');
    assert.match(page.text, /There was a sign-in: Firefox \(Windows\)/);
    assert.match(page.text, /A password was set/);
    assert.equal((await me.send('/en/my/notices', { upto: me.hidden('upto') })).status, 303);
    assert.doesNotMatch((await me.open('/en/my/notices')).text, /badge-warning/);
});

test('an app is asked for after the password, once a code; recovery codes take its place', async () => {
    const me = await register(city, 'second');
    await me.open('/en/my/app');
    const key = /id="app-key"[^>]*value="([^"]*)"/.exec(me.page)[1], secret = me.hidden('secret');
    const bad = await me.send('/en/my/app', { secret, code: '000000' });
    assert.equal(bad.status, 400);
    assert.match(bad.text, new RegExp(key));
    // A secret that somebody else knows cannot be slipped in.
    const stranger = await register(city, 'slipping');
    await stranger.open('/en/my/app');
    assert.equal((await me.send('/en/my/app', { secret: stranger.hidden('secret'), code: totp(key) })).status, 400);
    await me.open('/en/my/app');
    const now = /id="app-key"[^>]*value="([^"]*)"/.exec(me.page)[1];
    const set = await me.send('/en/my/app', { secret: me.hidden('secret'), code: totp(now) });
    const codes = [...set.text.matchAll(/<code>([^<]*)<\/code>/g)].map((m) => m[1]);
    assert.equal(codes.length, 10);
    const { me: again, res } = await signIn(city, 'second');
    assert.equal(res.status, 200);
    assert.equal(session(again), undefined);
    const ticket = again.hidden('ticket');
    assert.equal((await again.send('/en/sign-in/code', { ticket, code: '000000' })).status, 403);
    assert.equal((await again.send('/en/sign-in/code', { ticket, code: codes[0] })).status, 303);
    assert.equal((await again.open('/en/my')).status, 200);
    const third = (await signIn(city, 'second')).me;
    assert.equal((await third.send('/en/sign-in/code', { ticket: third.hidden('ticket'), code: codes[0] })).status, 403);
});

test('a new password ends the other sessions', async () => {
    const me = await register(city, 'changing');
    const { me: thief } = await signIn(city, 'changing');
    await me.open('/en/my/ways');
    assert.equal((await me.send('/en/my/password', { password: 'short' })).status, 400);
    await me.open('/en/my/ways');
    assert.equal((await me.send('/en/my/password', { password: 'six pleasant rivers by night' })).status, 303);
    assert.equal((await thief.open('/en/my')).status, 303);
    assert.equal((await me.open('/en/my')).status, 200);
    assert.equal((await signIn(city, 'changing')).res.status, 403);
    assert.equal((await signIn(city, 'changing', 'six pleasant rivers by night')).res.status, 303);
    await me.open('/en/my/ways');
    assert.equal((await me.send('/en/my/ways', { action: 'no-password' })).status, 409);
});

test('one\'s data are corrected, taken along and erased', async () => {
    const me = await register(city, 'leaving', { email: 'leaving@example.jp' });
    await me.open('/en/my/data');
    const bad = await me.send('/en/my/data', { login: 'leaving', name: '試験 花子', email: 'nonsense' });
    assert.equal(bad.status, 400);
    await me.open('/en/my/data');
    assert.equal((await me.send('/en/my/data', { login: 'leaving', name: '試験 桜', phone: '03-0000-5678' })).status, 303);
    const { text, headers } = await me.open('/en/my/export');
    assert.match(headers.get('content-disposition'), /attachment/);
    const data = JSON.parse(text);
    assert.equal(data.person.name, '試験 桜');
    assert.equal(data.person.email, undefined);
    assert.deepEqual(data.log.map((entry) => entry.content.event), ['corrected', 'password-set', 'created']);
    assert.ok(data.notices.length > 0);
    assert.doesNotMatch(text, /"by"/);
    await me.open('/en/my/close');
    assert.equal((await me.send('/en/my/close', {})).status, 400);
    assert.equal((await me.send('/en/my/close', { confirm: '1' })).status, 303);
    assert.equal((await signIn(city, 'leaving')).res.status, 403);
    assert.equal((await register(city, 'leaving').then((again) => again.open('/en/my'))).status, 200);
});

test('somebody else acts for one by a code, and either of them ends it', async () => {
    const mother = await register(city, 'mother', { name: '試験 母' });
    const daughter = await register(city, 'daughter', { name: '試験 娘' });
    await mother.open('/en/my/people');
    const offered = await mother.send('/en/my/people', { action: 'offer', kind: 'household', read: '1', days: '30' });
    const code = /<code>([^<]*)<\/code>/.exec(offered.text)[1];
    await mother.open('/en/my/people');
    assert.equal((await mother.send('/en/my/people', { action: 'offer', kind: 'adult', read: '1', days: '30' })).status, 400);
    assert.equal((await mother.send('/en/my/people', { action: 'offer', kind: 'care', days: '30' })).status, 400);
    await daughter.open('/en/my/people');
    assert.equal((await daughter.send('/en/my/people', { action: 'accept', code: 'ABCDE-FGHIJ-KLMNO-PQRST' })).status, 400);
    assert.equal((await daughter.send('/en/my/people', { action: 'accept', code: code.toLowerCase() })).status, 303);
    assert.match((await daughter.open('/en/my/people')).text, /試験 母: family/);
    await mother.open('/en/my/people');
    const id = mother.hidden('id');
    const stranger = await register(city, 'meddler');
    await stranger.open('/en/my/people');
    assert.equal((await stranger.send('/en/my/people', { action: 'end', id })).status, 404);
    assert.equal((await mother.send('/en/my/people', { action: 'end', id })).status, 303);
    assert.doesNotMatch((await daughter.open('/en/my/people')).text, /試験 母/);
});

test('the pages of staff are not shown to residents', async () => {
    const me = await register(city, 'curious');
    for (const path of ['/en/desk', '/en/desk/new']) assert.equal((await me.open(path)).status, 403);
    await me.open('/en/my');
    for (const path of ['/en/desk', '/en/desk/new', '/en/desk/person'])
        assert.equal((await me.send(path, { by: 'login', value: 'hanako', reason: 'x', ref: 'AAAA' })).status, 403);
});

test('a passkey that is none signs nobody in, and asking tells nothing about anybody', async () => {
    const me = new Visitor(city);
    const first = await me.request('GET', '/en/sign-in/passkey', { headers: { Accept: 'application/json' } });
    const options = JSON.parse(first.text);
    assert.equal(options.rpId, '127.0.0.1');
    assert.ok(!options.allowCredentials || options.allowCredentials.length === 0);
    for (const json of [{}, { answer: {} }, { answer: null }, { answer: { id: 'AAAA', rawId: 'AAAA', type: 'public-key', response: {} } }]) {
        const res = await me.request('POST', '/en/sign-in/passkey', { json });
        assert.equal(res.status, 403, JSON.stringify(json));
        assert.equal(session(me), undefined);
    }
    const form = await me.request('POST', '/en/sign-in/passkey', { form: { answer: 'x' } });
    assert.notEqual(form.status, 200);
    const foreign = await me.request('POST', '/en/sign-in/passkey', { json: {}, headers: { Origin: 'https://evil.example' } });
    assert.equal(foreign.status, 403);
});

test('nothing personal and no secret is in the log', () => {
    assert.match(city.errors, /passport\.refused/);
    for (const text of [password, wrong, 'hanako', '花子', 'example.jp', 'six pleasant', '試験'])
        assert.ok(!city.errors.includes(text) && !city.errors.includes(encodeURIComponent(text)), text);
});

await run(() => city.stop());
