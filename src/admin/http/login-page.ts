/** The page that asks for the token: no script, no style, nothing from elsewhere. */

export function loginPage(problem = ""): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Godwit</title>
<main>
<h1>Godwit</h1>
<form method="post" action="/login">
<p><label>Token <input type="password" name="token" required autofocus autocomplete="current-password"></label>
<button>Log in</button></p>
<p role="alert">${problem}</p>
</form>
</main>
</html>
`;
}
