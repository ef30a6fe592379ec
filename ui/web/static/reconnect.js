// Reloads the page when another process serves it: what this page refers to is gone with the old one.
// Gradio does so when a request of its own fails; a request cut off in the middle escapes it.
setInterval(async () => {
  try {
    const answer = await fetch("/gradio_api/app_id");
    if (answer.ok && (await answer.json()).app_id !== window.gradio_config.app_id) window.location.reload();
  } catch {
    // nobody answers yet
  }
}, 5000);
