// The job `build`: checks each change of the main branch, and builds and pushes its images. Written for the plugin job-dsl.
pipelineJob('build') {
  description('Checks each change, and builds and pushes its images. Its name is the ACTION of the Jenkinsfile.')
  properties {
    pipelineTriggers {
      triggers {
        pollSCM { scmpoll_spec('H/5 * * * *') }
      }
    }
  }
  definition {
    cpsScm {
      scm {
        git {
          remote {
            url(GIT_URL)
            credentials('git')
          }
          branch('main')
        }
      }
      scriptPath('Jenkinsfile')
    }
  }
}
