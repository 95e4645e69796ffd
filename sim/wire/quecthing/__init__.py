"""QuecThing (SDK 2.9): frames, values, commands, OTA payloads and logins of the Developer Center's device protocol."""
