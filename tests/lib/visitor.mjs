// visitor.mjs - somebody with a browser without script: keeps cookies, fills in forms.
//
//     const me = new Visitor(city);
//     await me.open('/en/register');
//     const res = await me.send('/en/register', { login: 'hanako', ... });
import { createHmac } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { bin, startCity } from './city.mjs';

export class Visitor {
    constructor(city, headers = {}) {
        this.city = city;
        this.headers = headers;
        this.cookies = new Map();
        this.page = '';
    }

    // Redirects are not followed. The page is remembered for its form token.
    async request(method, path, { form, headers = {}, json } = {}) {
        const all = { ...this.headers, ...headers };
        if (this.cookies.size) all.Cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
        const init = { method, redirect: 'manual', headers: all };
        if (form) init.body = new URLSearchParams(form);
        if (json) {
            init.body = JSON.stringify(json);
            all['Content-Type'] = 'application/json';
        }
        all.Accept ??= json ? 'application/json' : 'text/html';
        const res = await fetch(this.city.url + path, init);
        for (const line of res.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            if (/Max-Age=0/.test(line)) this.cookies.delete(name);
            else this.cookies.set(name, value);
        }
        const text = await res.text();
        const answer = { status: res.status, headers: res.headers, text, to: res.headers.get('location') };
        if (res.status !== 303 && res.status !== 302) this.page = text;
        return answer;
    }

    open(path, headers) { return this.request('GET', path, { headers }); }

    // The token of the page that was opened last.
    csrf() { return /name="csrf" value="([^"]*)"/.exec(this.page)?.[1] ?? ''; }

    hidden(name) { return new RegExp(`name="${name}" value="([^"]*)"`).exec(this.page)?.[1] ?? ''; }

    send(path, form, headers) { return this.request('POST', path, { form: { csrf: this.csrf(), ...form }, headers }); }

    // Opens the page of a form and sends it.
    async fill(path, form) {
        const page = await this.open(path);
        if (page.status !== 200) return page;
        return this.send(path, form);
    }
}

export const password = '五月雨を集めて早し最上川';

export async function register(city, login, more = {}) {
    const me = new Visitor(city);
    const res = await me.fill('/en/register', { login, name: '試験 花子', birth_date: '1980-01-02', password, ...more });
    if (res.status !== 303) throw new Error(`${res.status} ${/role="alert"><p>([^<]*)/.exec(res.text)?.[1] ?? res.text}`);
    return me;
}

export async function signIn(city, login, secret = password, headers = {}) {
    const me = new Visitor(city, headers);
    const res = await me.fill('/en/sign-in', { login, password: secret });
    return { me, res };
}

export function totp(key, at = Date.now()) {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
    const bits = [...key.replaceAll(' ', '')].map((c) => letters.indexOf(c).toString(2).padStart(5, '0')).join('');
    const secret = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
    const mac = createHmac('sha1', secret).update(counter).digest();
    const v = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
    return String(v % 1000000).padStart(6, '0');
}

// `marugoto account ...` on a store that no city serves now.
export function account(dir, store, ...args) {
    const run = spawnSync(bin, ['account', ...args, '--data', dir, ...(store ? ['--store', store] : [])], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.stderr);
    return run.stdout.split('\n')[0];
}

// A city, and the code for its first administrator.
export async function cityWithChief(data, options = {}) {
    if (process.env.MARUGOTO_TEST_PG) {
        const city = await startCity({ data, ...options });
        return { city, code: account(data, city.store, 'administrator', 'chief') };
    }
    const code = account(data, undefined, 'administrator', 'chief');
    return { city: await startCity({ data, ...options }), code };
}

// Signed in with a password and an app, as staff must be. code: a desk's code.
export async function staff(city, code) {
    const me = new Visitor(city);
    await me.fill('/en/enrol', { code });
    await me.fill('/en/my/ways', {});
    await me.send('/en/my/password', { password });
    await me.open('/en/my/app');
    const key = /id="app-key"[^>]*value="([^"]*)"/.exec(me.page)[1];
    const set = await me.send('/en/my/app', { secret: me.hidden('secret'), code: totp(key) });
    me.recovery = [...set.text.matchAll(/<code>([^<]*)<\/code>/g)].map((m) => m[1]);
    me.key = key;
    return me;
}

// The second proof: a recovery code, because an app's code would have to be waited for.
export async function proveTwice(me, login) {
    await me.fill('/en/sign-in?fresh=1', { login, password });
    return me.send('/en/sign-in/code', { ticket: me.hidden('ticket'), to: me.hidden('to'), code: me.recovery.pop() });
}
