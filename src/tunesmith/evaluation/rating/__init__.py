"""People compare answers blind: how many it takes, what each is shown, what their choices say."""
