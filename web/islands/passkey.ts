// Passkeys: signing in with one (by the button, or offered while the name is typed), making a new one;
// and the desk's code, which the address brings behind its '#', so that no server sees it.

interface Bytes { [key: string]: unknown }

const decode = (text: string): ArrayBuffer => {
    const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer;
};

const encode = (bytes: ArrayBuffer | null): string | undefined =>
    bytes === null ? undefined : btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

interface Described { id: string; type: 'public-key'; transports?: AuthenticatorTransport[] }
const describe = (list: Described[] | undefined): PublicKeyCredentialDescriptor[] =>
    (list ?? []).map((one) => ({ ...one, id: decode(one.id) }));

async function options(url: string): Promise<Record<string, unknown>> {
    const answer = await fetch(url, { headers: { Accept: 'application/json' } });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()) as Record<string, unknown>;
}

async function send(url: string, body: Bytes): Promise<Record<string, unknown>> {
    const answer = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()) as Record<string, unknown>;
}

function common(made: PublicKeyCredential): Bytes {
    return { id: made.id, rawId: encode(made.rawId), type: made.type, clientExtensionResults: made.getClientExtensionResults(),
        authenticatorAttachment: made.authenticatorAttachment ?? undefined };
}

function asserted(made: PublicKeyCredential): Bytes {
    const r = made.response as AuthenticatorAssertionResponse;
    return { ...common(made), response: { clientDataJSON: encode(r.clientDataJSON), authenticatorData: encode(r.authenticatorData),
        signature: encode(r.signature), userHandle: encode(r.userHandle) } };
}

function created(made: PublicKeyCredential): Bytes {
    const r = made.response as AuthenticatorAttestationResponse;
    return { ...common(made), response: { clientDataJSON: encode(r.clientDataJSON), attestationObject: encode(r.attestationObject),
        transports: r.getTransports() } };
}

// One ceremony at a time: the one that waits in the field of the name makes way for the button.
let waiting: AbortController | undefined;

async function signIn(box: HTMLElement, mediation?: CredentialMediationRequirement): Promise<void> {
    const url = box.dataset['options'] ?? '';
    const said = box.querySelector('.passkey-said');
    waiting?.abort();
    const mine = new AbortController();
    waiting = mine;
    try {
        const o = await options(url);
        const publicKey = { ...o, challenge: decode(o['challenge'] as string),
            allowCredentials: describe(o['allowCredentials'] as Described[] | undefined) } as PublicKeyCredentialRequestOptions;
        const got = await navigator.credentials.get({ publicKey, signal: mine.signal, ...(mediation ? { mediation } : {}) });
        const answer = await send(url, { answer: asserted(got as PublicKeyCredential), to: box.dataset['to'] ?? '' });
        location.assign(answer['to'] as string);
    } catch {
        // Whoever changed their mind in the field of the name is told nothing.
        if (said && !mediation) said.textContent = box.dataset['failed'] ?? '';
    }
}

async function make(form: HTMLFormElement): Promise<void> {
    const url = form.dataset['options'] ?? '';
    const said = form.querySelector('.passkey-said');
    try {
        const o = await options(url);
        const user = o['user'] as { id: string; name: string; displayName: string };
        const publicKey = { ...o, challenge: decode(o['challenge'] as string), user: { ...user, id: decode(user.id) },
            excludeCredentials: describe(o['excludeCredentials'] as Described[] | undefined) } as PublicKeyCredentialCreationOptions;
        const got = await navigator.credentials.create({ publicKey });
        const name = (form.elements.namedItem('name') as HTMLInputElement).value;
        await send(url, { answer: created(got as PublicKeyCredential), name, csrf: form.dataset['csrf'] ?? '' });
        location.assign(`${location.pathname}?done=1`);
    } catch {
        if (said) said.textContent = form.dataset['failed'] ?? '';
    }
}

const passkeyBox = document.getElementById('passkey');
if (passkeyBox && 'PublicKeyCredential' in window) {
    passkeyBox.hidden = false;
    passkeyBox.querySelector('button')?.addEventListener('click', () => void signIn(passkeyBox));
    void PublicKeyCredential.isConditionalMediationAvailable?.().then((can) => {
        if (can) void signIn(passkeyBox, 'conditional');
    });
}

const passkeyForm = document.getElementById('passkey-new');
if (passkeyForm instanceof HTMLFormElement && 'PublicKeyCredential' in window) {
    passkeyForm.hidden = false;
    passkeyForm.addEventListener('submit', (event) => {
        event.preventDefault();
        void make(passkeyForm);
    });
}

const enrolCode = document.getElementById('enrol-code');
if (enrolCode instanceof HTMLInputElement && location.hash.length > 1) {
    enrolCode.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, '', location.pathname);
}
