#!/usr/bin/env node
// The OpenID Provider's pages in a real browser: consent in every language, with the keyboard, on a phone; yes and
// no lead back to the client under the pages' own content security policy; a device; signing out.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { desktop, languages, phone, startBrowser, violations, watch } from '../lib/browser.mjs';
import { makeClient, random, sha256, startCityWithPeople } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCityWithPeople([1]);
const [person] = city.people;
const rp = createServer((req, res) => res.end(`<!doctype html><title>client</title><p id="back">${req.url.split('?')[0]}</p>`));
const port = await new Promise((done) => rp.listen(0, '127.0.0.1', () => done(rp.address().port)));
const back = `http://127.0.0.1:${port}/back`, bye = `http://127.0.0.1:${port}/bye`;
const client = await makeClient(city, {
    client_name: '図書館', organization: 'つくばのはら市', purpose: { ja: '本の予約', en: 'To reserve books' }, redirect_uris: [back], post_logout_redirect_uris: [bye],
    sandbox: true, scope: 'openid offline_access api', grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'client_secret_post', consent: 'ask',
});
const kiosk = await makeClient(city, { grant_types: ['urn:ietf:params:oauth:grant-type:device_code'], scope: 'openid', token_endpoint_auth_method: 'none' });
const browser = await startBrowser();
const shots = process.env.SCREENSHOTS; // a folder: for people who look

async function open(viewport, options = {}) {
    const context = await browser.newContext({ viewport, timezoneId: 'Asia/Tokyo', ...options });
    await context.addCookies([{ name: 'session', value: person.cookie, url: city.url, httpOnly: true, sameSite: 'Lax' }]);
    return context.newPage();
}
const verifier = random(32);
const request = (over = {}) => `${city.url}/oidc/authorize?${new URLSearchParams({
    client_id: client.id, response_type: 'code', redirect_uri: back, scope: 'openid api', state: 's', code_challenge: sha256(verifier), code_challenge_method: 'S256', ...over })}`;

test('consent in every language, on a desk and on a phone', async () => {
    for (const viewport of [desktop, phone]) {
        const page = await open(viewport, { bypassCSP: true });
        for (const lang of languages) {
            const tag = { easy: 'ja-x-yasashii', zh: 'zh-Hans' }[lang] ?? lang;
            await page.goto(request({ ui_locales: tag, scope: 'openid api offline_access' }));
            assert.equal(new URL(page.url()).pathname, `/${lang}/consent`);
            assert.deepEqual(await violations(page), [], lang);
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${lang} is wider than the screen`);
            assert.doesNotMatch(await page.textContent('main'), /consent\./); // no key without a text
            if (shots && lang !== 'ko') await page.screenshot({ path: `${shots}/consent-${lang}-${viewport.width}.png`, fullPage: true });
        }
        await page.context().close();
    }
});

test('no leads back without a code, yes with one: with the keyboard, under the page\'s own policy', async () => {
    const page = await open(desktop);
    const seen = watch(page);
    await page.goto(request({ ui_locales: 'en' }));
    await page.focus('button[value=no]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#back');
    assert.equal(new URL(page.url()).searchParams.get('error'), 'access_denied');
    await page.goto(request({ ui_locales: 'en' }));
    await page.focus('button[value=yes]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#back');
    const url = new URL(page.url());
    assert.ok(url.searchParams.get('code'));
    assert.equal(url.searchParams.get('iss'), city.url);
    assert.deepEqual(seen.filter((text) => !/favicon/.test(text)), []);
    const res = await client.token({ grant_type: 'authorization_code', code: url.searchParams.get('code'), redirect_uri: back, code_verifier: verifier });
    assert.equal(res.status, 200, res.text);
    client.idToken = res.json.id_token;
    await page.goto(request()); // agreed already: straight back
    await page.waitForSelector('#back');
    await page.context().close();
});

test('a device is connected', async () => {
    const { json: begun } = await kiosk.call('/oidc/device_authorization', { scope: 'openid' });
    const page = await open(phone, { bypassCSP: true });
    await page.goto(begun.verification_uri);
    assert.deepEqual(await violations(page), []);
    await page.fill('#user_code', 'BBBB-BBBB');
    await page.click('main button');
    await page.waitForSelector('[role=alert]');
    assert.deepEqual(await violations(page), []);
    await page.fill('#user_code', begun.user_code.toLowerCase());
    await page.click('main button');
    await page.waitForSelector('button[value=yes]');
    await page.click('button[value=yes]');
    await page.waitForSelector('[role=status]');
    assert.deepEqual(await violations(page), []);
    const res = await kiosk.token({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: begun.device_code });
    assert.equal(res.status, 200, res.text);
    await page.context().close();
});

test('signing out is asked, and leads on to the client', async () => {
    const page = await open(desktop, { bypassCSP: true });
    await page.goto(`${city.url}/oidc/logout?${new URLSearchParams({ client_id: client.id, post_logout_redirect_uri: bye, state: 'x' })}`);
    assert.match(new URL(page.url()).pathname, /^\/\w+\/leave$/);
    assert.deepEqual(await violations(page), []);
    await page.click('main button');
    await page.waitForSelector('#back');
    assert.equal(page.url(), `${bye}?state=x`);
    await page.goto(request({ prompt: 'none' }));
    assert.equal(new URL(page.url()).searchParams.get('error'), 'login_required');
    await page.context().close();
});

await run(async () => {
    await browser.close();
    await city.stop();
    rp.closeAllConnections();
    rp.close();
});
