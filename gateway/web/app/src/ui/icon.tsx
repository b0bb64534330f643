/** Line icons of one weight, on a 24 grid. */

const PATHS = {
  overview: "M4 19V11M10 19V5M16 19v-6M21 19H3",
  requests: "M4 6h16M4 12h16M4 18h10",
  cache: "M13 3L5 13.5h6L10.5 21 19 10h-6z",
  keys: "M14.5 9.5a4.5 4.5 0 1 0-3.9 4.46L12.5 16H15v2.5h2.5V21H21v-3.2l-6.6-6.6c.06-.55.1-1.1.1-1.7zM9 8.5h.01",
  budgets: "M3 7.5h18v11H3zM3 11.5h18M7 15.5h3",
  providers: "M5 4h14v6H5zM5 14h14v6H5zM8.5 7h.01M8.5 17h.01",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
  team: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.6-3.4 3-5 6.5-5s5.900 1.600 6.500 5M16 4.300a3.500 3.500 0 0 1 0 6.500M17.800 15.300c2 .6 3.300 2.200 3.700 4.700",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.800v4.400M9 14.800v4.400",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.500l4.500 4.500L19 7.500",
  plus: "M12 5v14M5 12h14",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  offline: "M3 3l18 18M8.500 16.500a5 5 0 0 1 7 0M5 13a10 10 0 0 1 4-2.400M19 13a10 10 0 0 0-5-2.700M12 20h.01",
  empty: "M4 13l2.500-8h11L20 13v6H4zM4 13h5l1 2.500h4l1-2.500h5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1.100 1.100M17.300 17.300l1.100 1.100M18.400 5.600l-1.100 1.100M6.700 17.300l-1.100 1.100",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4",
  out: "M9 4H5v16h4M14 8l4 4-4 4M18 12H9",
  download: "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 20h14",
  right: "M9 6l6 6-6 6",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  live: "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7.800 16.200a6 6 0 0 1 0-8.400M16.200 7.800a6 6 0 0 1 0 8.400M5 19a10 10 0 0 1 0-14M19 5a10 10 0 0 1 0 14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.500 4.500",
  book: "M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11",
  trash: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13M10 11v5M14 11v5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d="M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12z" />
      <path d="M12 9v6M9 10.500v3M15 10.500v3" />
    </svg>
  );
}
