"""The mock Developer Center as a server: MQTT endpoint, HTTP API and downloads, store, web console."""
