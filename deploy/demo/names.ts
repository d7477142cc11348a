/** The component's name: its `service.name`, and what it calls itself to the agent. */
export const COMPONENT = 'vad-server';
