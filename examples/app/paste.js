// Ctrl+V anywhere on the page gives the photo a picture from the clipboard. Gradio itself pastes
// only by its button, for which browsers ask permission.
document.addEventListener("paste", (event) => {
  const photo = document.querySelector("#photo");
  const picture = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
  if (!picture || !photo?.offsetParent) return;
  event.preventDefault();
  const files = new DataTransfer();
  files.items.add(picture);
  const give = () => {
    const input = photo.querySelector("input[type=file]");
    if (!input) return false;
    input.files = files.files;
    input.dispatchEvent(new Event("change"));
    return true;
  };
  if (give()) return;
  // The camera, or the button for pasting, is where uploads go otherwise: back to those first.
  const watch = new MutationObserver(() => give() && watch.disconnect());
  watch.observe(photo, { childList: true, subtree: true });
  photo.querySelector(".source-selection button")?.click();
});
