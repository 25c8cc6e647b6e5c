#!/usr/bin/env node
// つくパス in a real browser: passkeys with Chromium's virtual authenticator, and every page looked at by axe in all languages.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { desktop, languages, phone, startBrowser, violations, watch } from '../lib/browser.mjs';
import { cityWithChief, password, totp } from '../lib/visitor.mjs';

const data = mkdtempSync(path.join(tmpdir(), 'marugoto-passport-'));
const { city, code } = await cityWithChief(data, { args: ['--trust.attempts_per_address=1000'] });
const base = `http://localhost:${city.port}`; // passkeys are for names, not for addresses
const browser = await startBrowser();
const context = await browser.newContext({ viewport: desktop, bypassCSP: true });
// The virtual authenticator answers at once to what is offered in the field of the name: only where that is asked for.
await context.addInitScript(() => {
    if (!location.search.includes('offered')) PublicKeyCredential.isConditionalMediationAvailable = async () => false;
});
const page = await context.newPage();
const seen = watch(page);
const cdp = await context.newCDPSession(page);
await cdp.send('WebAuthn.enable');
const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
});
const at = (where) => page.waitForURL((url) => url.pathname + url.search === where);
const signOut = async () => {
    await page.goto(`${base}/en/my`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await at('/en');
};
const usePasskey = () => page.getByRole('button', { name: 'Use a passkey' }).click();

test('the address of a desk\'s code fills it in and forgets it', async () => {
    await page.goto(`${base}/enrol#${code}`);
    await page.waitForFunction(() => location.hash === '' && document.getElementById('enrol-code')?.value.length > 0);
    assert.equal(await page.inputValue('#enrol-code'), code);
    assert.ok(page.url().endsWith('/enrol'));
    const lang = new URL(page.url()).pathname.split('/')[1];
    await page.goto(`${base}/en/enrol`);
    await page.fill('#enrol-code', code);
    await page.getByRole('button', { name: 'Continue' }).click();
    await at('/en/my/ways?first=1');
    assert.ok(languages.includes(lang));
});

test('a passkey is made, and signs in without a name', async () => {
    await page.fill('#passkey-name', '試験の鍵');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await at('/en/my/ways?done=1');
    assert.match(await page.textContent('main'), /試験の鍵/);
    const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
    assert.equal(credentials.length, 1);
    assert.ok(credentials[0].isResidentCredential);
    // The same authenticator does not get a second one of the same account.
    await page.fill('#passkey-name', 'again');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.waitForFunction(() => document.querySelector('#passkey-new .passkey-said')?.textContent !== '');
    await signOut();
    await page.goto(`${base}/en/desk`);
    await at('/en/sign-in?to=%2Fen%2Fdesk');
    await usePasskey();
    await at('/en/desk'); // which takes two factors: the passkey with verification is both
});

test('a passkey is offered while the name is typed', async () => {
    await signOut();
    await page.goto(`${base}/en/sign-in?offered=1`);
    await at('/en/my');
});

test('a device that does not verify its user is not taken, and a password is one factor', async () => {
    const other = await browser.newContext();
    await other.addInitScript(() => { PublicKeyCredential.isConditionalMediationAvailable = async () => false; });
    const plain = await other.newPage();
    const key = await other.newCDPSession(plain);
    await key.send('WebAuthn.enable');
    await key.send('WebAuthn.addVirtualAuthenticator', {
        options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: false, automaticPresenceSimulation: true },
    });
    await plain.goto(`${base}/en/register`);
    for (const [id, text] of [['login', 'plain'], ['password', password], ['name', '試験 太郎']]) await plain.fill(`#${id}`, text);
    await plain.getByRole('button', { name: 'Register' }).click();
    await plain.waitForURL('**/my/ways?first=1');
    await plain.fill('#passkey-name', 'without a fingerprint');
    await plain.getByRole('button', { name: 'Add a passkey' }).click();
    await plain.waitForFunction(() => document.querySelector('#passkey-new .passkey-said')?.textContent !== '');
    assert.doesNotMatch(await plain.textContent('main'), /without a fingerprint/);
    await plain.goto(`${base}/en/sign-in?acr=aal2`);
    assert.match(await plain.textContent('main'), /needs a passkey, or a password together with/);
    await other.close();
    // The passkey of the first one is both.
    await page.goto(`${base}/en/sign-in?acr=aal2`);
    await at('/en/my');
});

test('an answer is good once, here, and in the browser that asked', async () => {
    await signOut();
    await page.goto(`${base}/en/sign-in`);
    let body;
    await page.route('**/sign-in/passkey', async (route) => {
        if (route.request().method() !== 'POST') return route.continue();
        body = route.request().postData();
        return route.abort();
    });
    await usePasskey();
    await page.waitForFunction(() => document.querySelector('#passkey .passkey-said')?.textContent !== '');
    await page.unroute('**/sign-in/passkey');
    const cookie = (await context.cookies()).map((one) => `${one.name}=${one.value}`).join('; ');
    const send = (headers, text = body) => new Promise((done, fail) => {
        const req = http.request({ host: '127.0.0.1', port: city.port, method: 'POST', path: '/en/sign-in/passkey',
            headers: { Host: `localhost:${city.port}`, Cookie: cookie, 'Content-Type': 'application/json', Accept: 'application/json', ...headers } }, (res) => {
            res.resume();
            res.on('end', () => done(res.statusCode));
        });
        req.on('error', fail);
        req.end(text);
    });
    const changed = (edit) => {
        const v = JSON.parse(body);
        edit(v.answer);
        return JSON.stringify(v);
    };
    assert.equal(await send({ Host: `127.0.0.1:${city.port}` }), 403); // another origin
    assert.equal(await send({ Host: 'localhost:1' }), 403);
    assert.equal(await send({ Cookie: 'visit=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }), 403);
    assert.equal(await send({}, changed((a) => { a.response.userHandle = 'AAAA'; })), 403);
    assert.equal(await send({}, changed((a) => { a.id = a.rawId = 'AAAAAAAAAAAAAAAAAAAAAA'; })), 403);
    assert.equal(await send({}, changed((a) => { a.response.signature = a.response.signature.replace(/.$/, (c) => (c === 'A' ? 'Q' : 'A')).replace(/^..../, 'AAAA'); })), 403);
    assert.equal(await send({}), 200);
    assert.equal(await send({}), 403);
});

test('the last way in stays', async () => {
    await page.goto(`${base}/en/sign-in?fresh=1&to=/en/my/ways`);
    await usePasskey();
    await at('/en/my/ways');
    await page.locator('summary', { hasText: '試験の鍵' }).click();
    assert.equal(await page.getByRole('button', { name: 'Remove this passkey' }).count(), 0);
    const id = await page.locator('input[name=id]').first().inputValue();
    const csrf = await page.locator('input[name=csrf]').first().inputValue();
    const status = await page.evaluate(async ([url, form]) => (await fetch(url, { method: 'POST', body: new URLSearchParams(form) })).status,
        [`${base}/en/my/ways`, { csrf, action: 'remove', id }]);
    assert.equal(status, 409);
});

test('an authenticator that forgot its keys signs nobody in, and the page says so', async () => {
    await signOut();
    await cdp.send('WebAuthn.clearCredentials', { authenticatorId });
    const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
    assert.equal(credentials.length, 0);
    await page.goto(`${base}/en/sign-in`);
    assert.equal(await page.locator('#passkey').isVisible(), true);
    assert.equal((await context.cookies()).some((one) => one.name === 'session'), false);
});

test('by keyboard alone: register, set up an app, sign out', async () => {
    await page.goto(`${base}/en/register`);
    await page.focus('#login');
    await page.keyboard.type('keyboard');
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Tab');
    await page.keyboard.type('試験 花子');
    await page.keyboard.press('Enter');
    await at('/en/my/ways?first=1');
    await page.goto(`${base}/en/my/app`);
    await page.focus('#code');
    await page.keyboard.type(totp(await page.inputValue('#app-key')));
    await page.keyboard.press('Enter');
    await page.waitForSelector('.codes');
    assert.equal(await page.locator('.codes li').count(), 10);
    assert.deepEqual(await violations(page), []);
});

test('all pages in all languages, without findings of axe', async () => {
    const pages = ['my', 'my/notices', 'my/data', 'my/ways', 'my/devices', 'my/people', 'my/app', 'my/close'];
    for (const where of pages) {
        await page.goto(`${base}/en/${where}`);
        assert.deepEqual(await violations(page), [], where);
    }
    for (const lang of languages) {
        for (const where of ['my', 'my/ways', 'my/notices']) {
            await page.goto(`${base}/${lang}/${where}`);
            assert.deepEqual(await violations(page), [], `${lang} ${where}`);
        }
    }
    await page.goto(`${base}/en/my`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await at('/en');
    for (const lang of languages) {
        for (const where of ['sign-in', 'register', 'enrol']) {
            await page.goto(`${base}/${lang}/${where}`);
            assert.deepEqual(await violations(page), [], `${lang} ${where}`);
        }
    }
});

test('on a phone nothing is wider than the screen', async () => {
    await page.setViewportSize(phone);
    for (const where of ['sign-in', 'register', 'enrol']) {
        await page.goto(`${base}/ja/${where}`);
        const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
        assert.ok(wide <= screen, `${where}: ${wide} > ${screen}`);
    }
});

test('the pages wrote no errors', () => {
    // Refused requests are what some of these tests are about.
    assert.deepEqual(seen.filter((text) => !/status of 40[39]|net::ERR_FAILED/.test(text)), []);
});

await run(async () => {
    await browser.close();
    await city.stop();
    rmSync(data, { recursive: true, force: true });
});
