@setlocal
@set "_python=%~dp0python.exe"
@if not exist "%_python%" set "_python=%~dp0..\python.exe"
@"%_python%" -I -X utf8 -m intercom_mux %*
