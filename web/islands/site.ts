// On every page: the language menu closes as menus do, and the first screen stays current.

const REFRESH_MS = 5000;

function languageMenu(menu: HTMLDetailsElement): void {
    const close = (): void => {
        menu.open = false;
    };
    document.addEventListener('click', (event) => {
        if (!menu.contains(event.target as Node)) close();
    });
    menu.addEventListener('keydown', (event) => {
        if (event.key !== 'Escape' || !menu.open) return;
        close();
        menu.querySelector('summary')?.focus();
    });
    menu.addEventListener('focusout', (event) => {
        if (event.relatedTarget && !menu.contains(event.relatedTarget as Node)) close();
    });
}

function keepCurrent(part: HTMLElement, url: string): void {
    let shown = '';
    const refresh = async (): Promise<void> => {
        // What somebody is reading with the keyboard must not vanish under their focus.
        if (document.hidden || part.contains(document.activeElement)) return;
        try {
            const answer = await fetch(url, { headers: { Accept: 'text/html' } });
            if (!answer.ok) return;
            const html = await answer.text();
            if (html !== shown) part.innerHTML = html;
            shown = html;
        } catch {
            // Offline: what is there stays, with its time of update.
        }
    };
    setInterval(() => void refresh(), REFRESH_MS);
    document.addEventListener('visibilitychange', () => void refresh());
}

const menu = document.querySelector<HTMLDetailsElement>('details.languages');
if (menu) languageMenu(menu);

const now = document.getElementById('now');
if (now?.dataset['refresh']) keepCurrent(now, now.dataset['refresh']);
