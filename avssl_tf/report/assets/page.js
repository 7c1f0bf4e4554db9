// Plays the audio of one card at a time. A button's `data-state` is "playing", "stopped" or, if the
// browser cannot play it, "failed".
(() => {
  const player = new Audio();
  let current = null;

  const show = (button, state) => {
    button.dataset.state = state;
    button.textContent = state === "playing" ? "\u25A0" : state === "failed" ? "!" : "\u25B6";
  };
  const stop = () => {
    player.pause();
    if (current) show(current, "stopped");
    current = null;
  };
  player.addEventListener("ended", stop);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.play");
    if (!button) return;
    const again = button === current;
    stop();
    if (again) return;
    current = button;
    player.src = button.dataset.sound;
    show(button, "playing");
    player.play().catch((error) => {
      // Another card was selected before this one started to play.
      if (error.name === "AbortError") return;
      show(button, "failed");
      button.title = error.message;
    });
  });
})();
